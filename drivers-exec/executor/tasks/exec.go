package tasks

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
	"github.com/droverhq/drover/sdk/driver"
)

// drainWithin is how long output may go on after a command has ended: children
// that it left behind may hold its pipes open for ever.
const drainWithin = 500 * time.Millisecond

// Exec runs a command inside the task.
func (t *Table) Exec(ctx context.Context, req *driver.ExecRequest) (*driver.ExitResult, error) {
	k, err := t.task(req.TaskID)
	if err != nil {
		return nil, err
	}
	path, err := k.process.LookPath(req.Command[0], k.env)
	if err != nil {
		return nil, err
	}
	s := executor.Session{Path: path, Args: req.Command, Env: k.env, TTY: req.TTY}
	var e proc.Exit
	if req.TTY {
		e, err = runTerminal(ctx, k.process, s, req)
	} else {
		e, err = runPipes(ctx, k.process, s, req)
	}
	if err != nil {
		return nil, fmt.Errorf("exec in task %s: %w", req.TaskID, err)
	}
	return result(e), nil
}

// runPipes connects the command by three pipes.
func runPipes(ctx context.Context, p *executor.Process, s executor.Session, req *driver.ExecRequest) (proc.Exit, error) {
	var ends [3][2]*os.File // each: the reading and the writing end
	defer func() {
		for _, e := range ends {
			closeFiles(e[:]...)
		}
	}()
	for i := range ends {
		var err error
		if ends[i][0], ends[i][1], err = os.Pipe(); err != nil {
			return proc.Exit{}, fmt.Errorf("make pipe: %w", err)
		}
	}
	s.Stdin, s.Stdout, s.Stderr = ends[0][0], ends[1][1], ends[2][1]
	// Not waited for: it may sit in a read of the user's input, which ends
	// when we return.
	go func(to *os.File) {
		_, _ = io.Copy(to, req.Stdin)
		to.Close()
	}(ends[0][1])
	var outputs sync.WaitGroup
	for i, to := range []io.Writer{req.Stdout, req.Stderr} {
		from := ends[i+1][0]
		outputs.Go(func() { _, _ = io.Copy(to, from) })
	}
	e, err := p.Run(ctx, s)
	closeFiles(s.Stdin, s.Stdout, s.Stderr)
	deadline := time.Now().Add(drainWithin)
	_ = ends[1][0].SetReadDeadline(deadline)
	_ = ends[2][0].SetReadDeadline(deadline)
	outputs.Wait()
	return e, err
}

// runTerminal connects the command by a terminal.
func runTerminal(ctx context.Context, p *executor.Process, s executor.Session, req *driver.ExecRequest) (proc.Exit, error) {
	term, err := p.OpenTerminal()
	if err != nil {
		return proc.Exit{}, err
	}
	defer term.Control.Close()
	s.Stdin, s.Stdout, s.Stderr = term.User, term.User, term.User
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { _, _ = io.Copy(term.Control, req.Stdin) }()
	go func() {
		for {
			select {
			case size, ok := <-req.Resize:
				if !ok {
					return
				}
				_ = term.Resize(size.Height, size.Width)
			case <-ctx.Done():
				return
			}
		}
	}()
	var output sync.WaitGroup
	output.Go(func() { _, _ = io.Copy(req.Stdout, term.Control) }) // ends with EIO when the user side is closed
	e, err := p.Run(ctx, s)
	term.User.Close()
	_ = term.Control.SetReadDeadline(time.Now().Add(drainWithin))
	output.Wait()
	return e, err
}

func closeFiles(list ...*os.File) {
	for _, f := range list {
		if f != nil {
			f.Close()
		}
	}
}
