// Package template keeps the files that a task's template blocks describe: it renders them before the task starts and
// again when what they were made of changes, and says what that asks for: a restart, signals or scripts.
package template

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/taskfiles/protocol"
)

// DeniedByDefault are functions that reach beyond the template.
func DeniedByDefault() []string { return []string{"executeTemplate", "plugin", "writeToFile"} }

// Renderer renders one template.
type Renderer interface {
	Render(ctx context.Context, q *protocol.Render) (*protocol.Rendered, error)
}

// Catalog is the built-in service catalog as servers know it.
type Catalog interface {
	// Watch follows the instances of a service, or with name "" those of all services of the namespace. poke is called
	// after each change, the first knowledge included, and must not block.
	Watch(namespace, name string, poke func()) Subscription
}

// Subscription is what is known of a watched service; ok is false before a server has answered.
type Subscription interface {
	Latest() (regs []*model.ServiceRegistration, ok bool)
	Close()
}

// ErrTemplate: a template cannot be rendered as it is written.
var ErrTemplate = errors.New("template is not valid")

// Item is one template with its paths found. Source has no Root when the text is embedded.
type Item struct {
	Spec   *model.Template
	Dest   Place
	Source Place
}

// Config is the templates of one task.
type Config struct {
	Items     []Item
	Namespace string
	Region    string
	Denied    []string                       // functions
	Find      func(string) (Place, error)    // files that templates name
	Event     func(message string)           // for the task's history
	Act       func(context.Context, Actions) // called by Run, which waits
	Renderer  Renderer
	Catalog   Catalog
	Now       func() time.Time
	Jitter    func() float64 // in [0, 1)
}

const (
	// tellAfter is how long the first render waits before it says for what.
	tellAfter = 3 * time.Second
	// pollFiles is how often files that templates read are looked at.
	pollFiles = time.Second
	// maxRounds bounds how often a template may name something new after it got what it had asked for.
	maxRounds = 32
	// maxTold bounds how many missing things one event names.
	maxTold = 3
)

// Manager renders the templates of one task. First and Run are not called at the same time.
type Manager struct {
	cfg   Config
	wake  chan struct{}
	items []*item
	subs  map[protocol.Need]Subscription

	mu  sync.Mutex
	env []string          // of the task, for the function env
	out map[string]string // what env templates rendered
}

// item is a template and what is known of it.
type item struct {
	Item
	rendered bool
	needs    []protocol.Need
	last     []protocol.Known // what it was rendered with, or what the next render will see
	vars     map[string]string
	first    time.Time // of changes that are not rendered yet; zero = none
	latest   time.Time
	told     string // why it could not be rendered, which is said once
}

// New makes a manager; nothing is rendered.
func New(cfg Config) *Manager {
	m := &Manager{cfg: cfg, wake: make(chan struct{}, 1), subs: map[protocol.Need]Subscription{}}
	for _, it := range cfg.Items {
		m.items = append(m.items, &item{Item: it})
	}
	return m
}

// Close ends the watches.
func (m *Manager) Close() {
	for _, s := range m.subs {
		s.Close()
	}
	m.subs = map[protocol.Need]Subscription{}
}

func (m *Manager) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Env is what templates with env = true rendered.
func (m *Manager) Env() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.out)
}

// FirstScripts are the scripts that run once the task has started.
func (m *Manager) FirstScripts() []*model.ChangeScript {
	var out []*model.ChangeScript
	for _, it := range m.items {
		if s := it.Spec.ChangeScript; it.Spec.ChangeMode == script && s != nil && s.RunOnFirstRender {
			out = append(out, s)
		}
	}
	return out
}

// First renders every template, waiting for what they need, and returns those whose file was another before. env is the
// task's environment as KEY=value.
func (m *Manager) First(ctx context.Context, env []string) (changed []*model.Template, err error) {
	m.mu.Lock()
	m.env = env
	m.mu.Unlock()
	begun, told := m.cfg.Now(), ""
	waiting := slices.Clone(m.items)
	for {
		var missing []protocol.Need
		var later []*item
		for _, it := range waiting {
			lacks, diff, err := m.render(ctx, it)
			if err != nil {
				return nil, fmt.Errorf("template %s: %w", it.Spec.DestPath, err)
			}
			if len(lacks) > 0 {
				missing, later = append(missing, lacks...), append(later, it)
				continue
			}
			if diff {
				changed = append(changed, it.Spec)
			}
		}
		if waiting = later; len(waiting) == 0 {
			return changed, nil
		}
		if text := missingText(missing); text != told && m.cfg.Now().Sub(begun) >= tellAfter {
			told = text
			m.cfg.Event(text)
		}
		timer := time.NewTimer(pollFiles)
		select {
		case <-m.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

func missingText(needs []protocol.Need) string {
	var names []string
	for _, n := range needs {
		if !slices.Contains(names, n.String()) {
			names = append(names, n.String())
		}
	}
	if more := len(names) - maxTold; more > 0 {
		names = append(names[:maxTold], fmt.Sprintf("and %d more", more))
	}
	return "Missing: " + strings.Join(names, ", ")
}

// render renders one template and writes it. missing is what it waits for; then nothing is written.
func (m *Manager) render(ctx context.Context, it *item) (missing []protocol.Need, changed bool, err error) {
	text := []byte(it.Spec.EmbeddedTmpl)
	if it.Source.Root != "" {
		if text, err = it.Source.read(); err != nil {
			return nil, false, fmt.Errorf("%w: source: %w", ErrTemplate, err)
		}
	}
	m.mu.Lock()
	env := m.env
	m.mu.Unlock()
	needs := it.needs
	for range maxRounds {
		known, err := m.gather(needs)
		if err != nil {
			return nil, false, err
		}
		answer, err := m.cfg.Renderer.Render(ctx, &protocol.Render{
			Text: string(text), Left: it.Spec.LeftDelim, Right: it.Spec.RightDelim, ErrMissingKey: it.Spec.ErrMissingKey,
			Region: m.cfg.Region, Env: env, Known: known, Denied: m.cfg.Denied,
		})
		switch {
		case err != nil:
			return nil, false, err
		case answer.Error != "":
			return nil, false, fmt.Errorf("%w: %s", ErrTemplate, answer.Error)
		case len(answer.Missing) == 0:
			it.needs, it.last = answer.Used, known
			changed, err := m.keep(it, answer.Output)
			return nil, changed, err
		}
		fresh := false
		for _, n := range answer.Missing {
			if !slices.Contains(needs, n) {
				needs, fresh = append(slices.Clone(needs), n), true
			}
		}
		if !fresh {
			it.needs = needs
			return answer.Missing, false, nil
		}
	}
	return nil, false, fmt.Errorf("%w: it names something new each of %d times it is rendered", ErrTemplate, maxRounds)
}

// keep puts what was rendered where it belongs.
func (m *Manager) keep(it *item, text []byte) (changed bool, err error) {
	vars := map[string]string{}
	if it.Spec.Envvars {
		if vars, err = parseEnv(text); err != nil {
			return false, fmt.Errorf("%w: env: %w", ErrTemplate, err)
		}
	}
	if changed, err = it.Dest.write(it.Spec, text); err != nil {
		return false, fmt.Errorf("write destination: %w", err)
	}
	it.vars, it.rendered, it.first, it.told = vars, true, time.Time{}, ""
	m.forget()
	out := map[string]string{}
	for _, other := range m.items {
		maps.Copy(out, other.vars)
	}
	m.mu.Lock()
	m.out = out
	m.mu.Unlock()
	return changed, nil
}

// Run renders again what changes until ctx ends, and has done what that asks for. pending are templates that changed
// already. The error is that of a template which can no longer be rendered.
func (m *Manager) Run(ctx context.Context, pending []*model.Template) error {
	var actAt time.Time
	if len(pending) > 0 {
		actAt = m.cfg.Now().Add(splay(pending, m.cfg.Jitter()))
	}
	for {
		m.look()
		now := m.cfg.Now()
		next := now.Add(time.Hour)
		if m.readsFiles() {
			next = now.Add(pollFiles)
		}
		for _, it := range m.items {
			if it.first.IsZero() {
				continue
			}
			at := due(it.Spec.Wait, it.first, it.latest)
			if at.After(now) {
				next = earlier(next, at)
				continue
			}
			it.first = time.Time{}
			missing, changed, err := m.render(ctx, it)
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, ErrTemplate):
				return fmt.Errorf("template %s: %w", it.Spec.DestPath, err)
			case err != nil: // of the helper or the disk
				if it.told != err.Error() {
					it.told = err.Error()
					m.cfg.Event(fmt.Sprintf("Template %s was not rendered again, it will be tried: %v", it.Spec.DestPath, err))
				}
				it.first, it.latest = now, now.Add(pollFiles)
				next = earlier(next, it.latest)
			case len(missing) > 0: // the file stays as it is until all is known
				it.last, _ = m.gather(it.needs)
			case changed:
				if pending = append(pending, it.Spec); actAt.IsZero() && !decide(pending).None() {
					actAt = m.cfg.Now().Add(splay(pending, m.cfg.Jitter()))
				}
			}
		}
		if !actAt.IsZero() && !actAt.After(m.cfg.Now()) {
			act := decide(pending)
			pending, actAt = nil, time.Time{}
			if !act.None() {
				m.cfg.Act(ctx, act)
			}
		}
		if !actAt.IsZero() {
			next = earlier(next, actAt)
		}
		timer := time.NewTimer(max(0, next.Sub(m.cfg.Now())))
		select {
		case <-m.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// look notes which templates would be rendered with other data than before.
func (m *Manager) look() {
	now := m.cfg.Now()
	for _, it := range m.items {
		if it.Spec.Once && it.rendered {
			continue
		}
		known, err := m.gather(it.needs)
		if err != nil || reflect.DeepEqual(known, it.last) {
			continue
		}
		it.last, it.latest = known, now
		if it.first.IsZero() {
			it.first = now
		}
	}
}

func (m *Manager) readsFiles() bool {
	return slices.ContainsFunc(m.items, func(it *item) bool {
		return !it.Spec.Once && slices.ContainsFunc(it.needs, func(n protocol.Need) bool { return n.Kind == protocol.NeedFile })
	})
}
