package executor

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor/keeper"
)

// cleanup removes the records of dead tasks of the driver. With -force it ends
// tasks that run as well.
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
		if err := cleanupDir(d, *force); err != nil {
			fmt.Fprintf(os.Stderr, "cleanup of %s: %v\n", d, err)
			code = 1
		}
	}
	return code
}

// cleanupDir connects to a keeper, starting one that adopts what is left.
func cleanupDir(dir string, force bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if left, err := keeper.Records(dir); err != nil || len(left) == 0 {
		return err
	}
	ended := make(chan keeper.Task, 1024)
	c, err := keeper.Connect(ctx, dir, nil, func(t keeper.Task) { ended <- t })
	if err != nil {
		return err
	}
	defer c.Close()
	running := 0
	for _, t := range c.Held() {
		switch {
		case t.Exit != nil:
			if err := c.Release(ctx, t.ID); err != nil {
				return err
			}
		case force:
			if err := c.Kill(ctx, t.ID); err != nil {
				return err
			}
			running++
		default:
			fmt.Printf("task %s runs as process %d: left alone\n", t.ID, t.Proc.PID)
		}
	}
	for ; running > 0; running-- {
		select {
		case t := <-ended:
			if err := c.Release(ctx, t.ID); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
