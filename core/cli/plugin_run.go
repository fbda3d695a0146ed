package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/host/onenode"
	pluginsdk "github.com/droverhq/drover/sdk/plugin"
)

const (
	// fingerprintTimeout is how long a driver may take to say whether it is usable.
	fingerprintTimeout = 30 * time.Second
	// cleanUpTimeout is how long a driver may take to remove its task.
	cleanUpTimeout = time.Minute
	// startGrace is how long a start that is under way may go on after an interrupt. A start that ends within it is
	// stopped like any task; one that is given up (an image being pulled) leaves the task's state unknown.
	startGrace = 10 * time.Second
)

func pluginRun(a *app) *cobra.Command {
	var block pluginBlock
	var taskName string
	var verbose bool
	c := &cobra.Command{Use: "run <binary> <task file>", Short: "Run one task through a driver's binary, without a cluster", Args: cobra.ExactArgs(2),
		Long: "Runs the first task of a job file, or a file that is just a task block. What the task writes appears here, Ctrl-C stops\n" +
			"it, a second Ctrl-C kills it, and its exit code becomes this command's. Nothing is left behind. Artifacts, templates,\n" +
			"services, volumes and devices are the agent's work and do not happen."}
	block.add(c)
	c.Flags().StringVar(&taskName, "task", "", "which task of the file; default: the first")
	c.Flags().BoolVar(&verbose, "verbose", false, "show the plugin's own log too")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		lone, err := a.loneTask(args[1], taskName)
		if err != nil {
			return err
		}
		pluginArgs, config, err := block.read(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		path, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		dir, err := os.MkdirTemp("", "run") // short: socket paths have little room
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := os.Chmod(dir, 0o755); err != nil { // tasks may run as any user
			return err
		}
		r := &loneRun{loneTask: lone, dir: dir, stdout: a.Stdout, stderr: a.Stderr, plugin: onenode.Plugin{
			Path: path, Args: pluginArgs, Config: config, SocketDir: dir,
			Env:  []string{"DROVER_RUN_DIR=" + filepath.Join(dir, "r")},
			Host: pluginsdk.HostInfo{Name: "drover", Version: a.Version, DevMode: true},
		}}
		if verbose {
			r.plugin.Stderr = os.Stderr
		}
		exit, err := r.run(ctx)
		if err != nil {
			return err
		}
		return exitAs(exit)
	}
	return c
}

// exitAs makes a task's end this command's.
func exitAs(exit *driver.ExitResult) error {
	switch {
	case exit.Err != "":
		return fmt.Errorf("the driver does not know how the task ended: %s", exit.Err)
	case exit.OOMKilled:
		return &exitError{max(exit.ExitCode, 1), "the task ran out of memory"}
	case exit.ExitCode == 0 && exit.Signal != 0:
		return &exitError{code: 128 + exit.Signal}
	case exit.ExitCode != 0:
		return &exitError{code: exit.ExitCode}
	}
	return nil
}

// loneRun is one task in one plugin.
type loneRun struct {
	*loneTask
	plugin         onenode.Plugin
	dir            string
	stdout, stderr io.Writer
}

// run returns how the task ended. When it returns, task and plugin are gone.
func (r *loneRun) run(ctx context.Context) (*driver.ExitResult, error) {
	p, err := r.plugin.Start(ctx)
	if err != nil {
		return nil, err
	}
	defer p.Kill(context.Background())
	d := p.Client.Driver()
	if err := r.check(ctx, p.Client); err != nil {
		return nil, err
	}
	t, err := r.prepare(ctx, d)
	if err != nil {
		return nil, err
	}
	defer t.Remove()
	events, stopEvents := context.WithCancel(context.Background())
	defer stopEvents()
	go func() {
		_ = d.TaskEvents(events, func(e driver.TaskEvent) error {
			_, err := fmt.Fprintf(r.stderr, "==> %s\n", e.Message)
			return err
		})
	}()
	started, err := r.start(ctx, p, &t.Config)
	if err != nil {
		return nil, err
	}
	exit, err := r.wait(ctx, d, t.Config.ID)
	t.Drain()
	return exit, errors.Join(err, r.destroy(p, &started.Handle))
}

// start outlasts an interrupt by [startGrace]: a task whose start is cut off may run already, with nobody to stop it.
func (r *loneRun) start(ctx context.Context, p *host.Process, task *driver.TaskConfig) (*host.StartResult, error) {
	within, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(startGrace):
			giveUp()
		case <-within.Done():
		}
	})()
	started, err := p.Client.Driver().StartTask(within, task)
	if err != nil && within.Err() != nil {
		err = errors.Join(err, r.destroy(p, &driver.TaskHandle{Config: *task}))
	}
	return started, err
}

// check refuses a plugin that cannot run the task.
func (r *loneRun) check(ctx context.Context, c *host.Client) error {
	info, err := c.Info(ctx)
	if err != nil {
		return err
	}
	if info.Type != pluginsdk.TypeDriver {
		return fmt.Errorf("plugin %s is not a driver", info.Name)
	}
	if r.task.Driver != info.Name {
		fmt.Fprintf(r.stderr, "Warning: task %s wants driver %q, this is %q\n", r.task.Name, r.task.Driver, info.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, fingerprintTimeout)
	defer cancel()
	seen := errors.New("seen")
	var f driver.Fingerprint
	err = c.Driver().Fingerprint(ctx, func(first driver.Fingerprint) error {
		f = first
		return seen
	})
	if !errors.Is(err, seen) {
		return fmt.Errorf("driver %s does not say whether it is usable: %w", info.Name, err)
	}
	if f.Health != driver.Healthy {
		return fmt.Errorf("driver %s is %s: %s", info.Name, f.Health, f.Description)
	}
	return nil
}

// wait returns the task's end. Once ctx ends the task is stopped as its job wants, and at a second interrupt at once.
func (r *loneRun) wait(ctx context.Context, d *host.Driver, id string) (*driver.ExitResult, error) {
	type end struct {
		exit *driver.ExitResult
		err  error
	}
	waiting, stopWaiting := context.WithCancel(context.Background())
	defer stopWaiting()
	ended := make(chan end, 1)
	go func() {
		exit, err := d.WaitTask(waiting, id)
		ended <- end{exit, err}
	}()
	select {
	case e := <-ended:
		return e.exit, e.err
	case <-ctx.Done():
	}
	fmt.Fprintf(r.stderr, "==> Stopping the task; it has %s\n", r.task.KillTimeout)
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt)
	defer signal.Stop(again)
	go func() {
		if err := d.StopTask(waiting, id, r.task.KillTimeout, r.task.KillSignal); err != nil && waiting.Err() == nil {
			fmt.Fprintln(r.stderr, "==>", err)
		}
	}()
	select {
	case e := <-ended:
		return e.exit, e.err
	case <-again:
	case <-time.After(r.task.KillTimeout + cleanUpTimeout):
	}
	_ = d.DestroyTask(waiting, id, true)
	e := <-ended
	return e.exit, e.err
}

// destroy removes the task, through a new process if the plugin's own has died.
func (r *loneRun) destroy(p *host.Process, handle *driver.TaskHandle) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTimeout)
	defer cancel()
	id := handle.Config.ID
	err := p.Client.Driver().DestroyTask(ctx, id, true)
	switch {
	case err == nil, errors.Is(err, host.ErrTaskNotFound):
		return nil
	case !errors.Is(err, host.ErrPluginDown):
		return err
	}
	<-p.Done()
	died := fmt.Errorf("the plugin's process ended while the task ran: %s", p.State())
	again, err := r.plugin.Start(ctx)
	if err != nil {
		return errors.Join(died, err)
	}
	defer again.Kill(context.Background())
	d := again.Client.Driver()
	if err := d.RecoverTask(ctx, handle); err != nil {
		return errors.Join(died, err)
	}
	return errors.Join(died, d.DestroyTask(ctx, id, true))
}
