package executor

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
	"github.com/droverhq/drover/drivers-exec/executor/keeper"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// cleanup removes what dead tasks of the driver left: processes, cgroups and
// records. With -force it ends tasks that run as well.
func cleanup(driver string, args []string) int {
	flags := flag.NewFlagSet(CleanupVerb, flag.ContinueOnError)
	dir := flags.String("dir", "", "directory of one keeper; default: all of this driver on this machine")
	force := flags.Bool("force", false, "end tasks that still run")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	dirs := KeeperDirs(driver)
	if *dir != "" {
		dirs = []string{*dir}
	}
	code := 0
	for _, d := range dirs {
		if err := Cleanup(context.Background(), d, *force); err != nil {
			fmt.Fprintf(os.Stderr, "cleanup of %s: %v\n", d, err)
			code = 1
		}
	}
	return code
}

// Cleanup removes what dead tasks of one keeper directory left. The keeper, if
// one runs, is told; it ends when nothing is left.
func Cleanup(ctx context.Context, dir string, force bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	held, unreadable := keeper.Records(dir)
	failed := []error{unreadable}
	var client *keeper.Client
	c, err := keeper.Dial(ctx, dir, func(keeper.Task) {})
	if err == nil {
		client = c
		defer client.Close()
		held = client.Held()
	}
	for _, t := range held {
		if err := cleanupTask(ctx, dir, client, t, force); err != nil {
			failed = append(failed, fmt.Errorf("task %s: %w", t.ID, err))
		}
	}
	return errors.Join(failed...)
}

func cleanupTask(ctx context.Context, dir string, client *keeper.Client, t keeper.Task, force bool) error {
	var g cgroup.Group
	if len(t.Note) > 0 {
		if err := json.Unmarshal(t.Note, &g); err != nil {
			return fmt.Errorf("read record: %w", err)
		}
	}
	p := newProcess(&link{dir: dir}, State{ID: t.ID, Proc: t.Proc, Dir: dir, Group: g})
	if t.Exit == nil && p.runs() {
		if !force {
			fmt.Printf("task %s runs as process %d: left alone\n", t.ID, t.Proc.PID)
			return nil
		}
		if err := p.killAndWait(ctx); err != nil {
			return err
		}
	}
	if err := g.Kill(ctx); err != nil {
		return err
	}
	p.family().kill()
	err := g.Remove()
	if client != nil {
		err = errors.Join(err, client.Release(ctx, t.ID))
	} else {
		err = errors.Join(err, keeper.Forget(dir, t.ID))
	}
	fmt.Printf("task %s: removed\n", t.ID)
	return err
}

// runs reports whether the process is there and no zombie.
func (p *Process) runs() bool {
	if p.reopen() != nil {
		return false
	}
	_, over := proc.ExitOf(p.pidfd, p.state.Proc.PID)
	return !over
}
