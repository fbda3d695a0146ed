package taskrunner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/event"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/core/node/template"
	"github.com/droverhq/drover/sdk/driver"
)

// renderTemplates renders the task's templates before it starts and returns the variables that they set. Later starts
// take what has been kept up to date meanwhile, unless the restart block says render_templates.
func (r *Runner) renderTemplates(ctx context.Context, alloc *model.Allocation, task *model.Task, caps driver.Capabilities, env *taskenv.Env) (map[string]string, error) {
	if len(task.Templates) == 0 {
		return nil, nil
	}
	if r.templates == nil { // those of a task that was found running know the environment of then
		r.endTemplates()
	} else {
		if task.RestartPolicy == nil || !task.RestartPolicy.RenderTemplates {
			return r.templates.Env(), nil
		}
		r.endTemplates()
	}
	m, err := r.newTemplates(alloc, task, caps, env)
	if err != nil {
		return nil, &stepError{errInvalid, err, false}
	}
	if _, err := m.First(ctx, environ(env)); err != nil {
		m.Close()
		return nil, &stepError{errSetup, err, !errors.Is(err, template.ErrTemplate)}
	}
	r.templates = m
	return m.Env(), nil
}

func (r *Runner) newTemplates(alloc *model.Allocation, task *model.Task, caps driver.Capabilities, env *taskenv.Env) (*template.Manager, error) {
	if r.cfg.Renderer == nil {
		return nil, errors.New("templates are not rendered here")
	}
	find := func(file string) (template.Place, error) { return r.place(task.Name, caps.FSIsolation, file) }
	var items []template.Item
	for i, t := range task.Templates {
		it := template.Item{Spec: t}
		var err error
		if it.Dest, err = find(env.Replace(t.DestPath)); err != nil {
			return nil, fmt.Errorf("template %d: destination: %w", i+1, err)
		}
		if it.Dest.Rel == "." {
			return nil, fmt.Errorf("template %d: destination %q is a directory", i+1, t.DestPath)
		}
		if t.EmbeddedTmpl == "" {
			if it.Source, err = find(env.Replace(t.SourcePath)); err != nil {
				return nil, fmt.Errorf("template %d: source: %w", i+1, err)
			}
		}
		items = append(items, it)
	}
	return template.New(template.Config{
		Items: items, Namespace: alloc.Namespace, Region: r.cfg.Region, Denied: r.cfg.DeniedFunctions, Find: find,
		Event:    func(message string) { r.Emit(event.New(model.EventHookMessage, r.cfg.Now(), message)) },
		Act:      r.actOnTemplates,
		Renderer: r.cfg.Renderer, Catalog: r.cfg.Catalog, Now: r.cfg.Now, Jitter: r.cfg.Jitter,
	}), nil
}

// environ is the environment as KEY=value, sorted.
func environ(env *taskenv.Env) []string {
	vars := env.Vars()
	out := make([]string, 0, len(vars))
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		out = append(out, k+"="+vars[k])
	}
	return out
}

// watchTemplates keeps the templates of a running task up to date until endTemplates. It may be called again.
func (r *Runner) watchTemplates(ctx context.Context, inst *instance) {
	_, task := r.spec()
	if len(task.Templates) == 0 || r.watching != nil {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	watching := &watching{stop: stop, ended: make(chan struct{})}
	r.watching = watching
	m, caps := r.templates, inst.drv.Capabilities()
	go func() {
		defer close(watching.ended)
		var pending []*model.Template
		if m == nil { // an earlier agent's: the task runs on with what that one rendered
			var err error
			if m, pending, err = r.renderAgain(ctx, caps); err != nil {
				if ctx.Err() == nil {
					r.templatesFailed(err)
				}
				return
			}
			watching.found = m
		} else {
			r.runScripts(ctx, m.FirstScripts())
		}
		if err := m.Run(ctx, pending); err != nil && ctx.Err() == nil {
			r.templatesFailed(err)
		}
	}()
}

// watching is the goroutine that keeps templates up to date.
type watching struct {
	stop  context.CancelFunc
	ended chan struct{}
	found *template.Manager // made by it; to be read once ended is closed
}

// endTemplates ends the watch.
func (r *Runner) endTemplates() {
	if w := r.watching; w != nil {
		w.stop()
		<-w.ended
		if w.found != nil {
			r.templates = w.found
		}
		r.watching = nil
	}
	if r.templates != nil {
		r.templates.Close()
		r.templates = nil
	}
}

// renderAgain renders the templates of a task that was found running.
func (r *Runner) renderAgain(ctx context.Context, caps driver.Capabilities) (*template.Manager, []*model.Template, error) {
	alloc, task := r.spec()
	env := r.environment(alloc, task, caps.FSIsolation, nil)
	m, err := r.newTemplates(alloc, task, caps, env)
	if err != nil {
		return nil, nil, err
	}
	changed, err := m.First(ctx, environ(env))
	if err != nil {
		m.Close()
		return nil, nil, err
	}
	return m, changed, nil
}

// templatesFailed ends the task: what it reads cannot be kept up to date.
func (r *Runner) templatesFailed(err error) {
	r.logger.Warn("templates failed", "error", err)
	r.Kill(Kill{Reason: "Template failed: " + err.Error(), Event: event.SetupFailure(r.cfg.Now(), err), Fails: true})
}

// actOnTemplates does in the task what changed templates ask for.
func (r *Runner) actOnTemplates(ctx context.Context, a template.Actions) {
	if a.Restart {
		if err := r.Restart(ctx, "Template with change_mode restart re-rendered"); err != nil && ctx.Err() == nil {
			r.logger.Debug("task not restarted for its templates", "error", err)
		}
		return
	}
	if len(a.Signals) > 0 {
		r.awaitSignals(ctx)
	}
	for _, s := range a.Signals {
		if err := r.Signal(ctx, s, "Template re-rendered"); err != nil && ctx.Err() == nil {
			r.Emit(event.New(model.EventHookMessage, r.cfg.Now(), "Template re-rendered, but the task did not get its signal: "+err.Error()))
		}
	}
	r.runScripts(ctx, a.Scripts)
}

// signalsAfter is how long a task runs before templates send it signals: a program that has just been started may not
// handle them yet, and is ended by most or misses them.
const signalsAfter = time.Second

// awaitSignals waits until the task has run for signalsAfter, or ctx ends.
func (r *Runner) awaitSignals(ctx context.Context) {
	left := r.State().StartedAt.Add(signalsAfter).Sub(r.cfg.Now())
	if left <= 0 {
		return
	}
	timer := time.NewTimer(min(left, signalsAfter))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

const (
	scriptTimeout = 5 * time.Second
	// scriptOutput is how much of a failed script's output its event shows, in bytes.
	scriptOutput = 1000
)

func (r *Runner) runScripts(ctx context.Context, scripts []*model.ChangeScript) {
	for _, s := range scripts {
		err := r.runScript(ctx, s)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			r.Emit(event.New(model.EventHookMessage, r.cfg.Now(), fmt.Sprintf("Template successfully ran script %s", s.Command)))
			continue
		}
		err = fmt.Errorf("template script %s: %w", s.Command, err)
		r.Emit(event.New(model.EventHookFailed, r.cfg.Now(), err.Error()))
		if s.FailOnError {
			r.templatesFailed(err)
			return
		}
	}
}

func (r *Runner) runScript(ctx context.Context, s *model.ChangeScript) error {
	limit := s.Timeout
	if limit <= 0 {
		limit = scriptTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var output strings.Builder
	sink := writerFunc(func(p []byte) { output.Write(p[:min(len(p), scriptOutput-min(scriptOutput, output.Len()))]) })
	exit, err := r.Exec(ctx, driver.ExecRequest{Command: append([]string{s.Command}, s.Args...), Stdin: strings.NewReader(""), Stdout: sink, Stderr: io.Discard})
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("it did not end within %v", limit)
	case err != nil:
		return err
	case exit.Err != "":
		return errors.New(exit.Err)
	case exit.ExitCode != 0:
		return fmt.Errorf("exit code %d: %s", exit.ExitCode, strings.TrimSpace(output.String()))
	}
	return nil
}

// writerFunc is a writer that cannot fail.
type writerFunc func(p []byte)

func (w writerFunc) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}
