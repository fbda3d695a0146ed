package docker

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/sdk/driver"
)

// unknownExit is the code of a command whose end the engine does not tell.
const unknownExit = 999

// Exec implements driver.WithExec.
func (d *Driver) Exec(ctx context.Context, r *driver.ExecRequest) (*driver.ExitResult, error) {
	t, err := d.task(r.TaskID)
	if err != nil {
		return nil, err
	}
	s, err := d.current()
	if err != nil {
		return nil, err
	}
	made, err := s.engine.ExecCreate(ctx, t.container, client.ExecCreateOptions{
		TTY: r.TTY, AttachStdin: true, AttachStdout: true, AttachStderr: true, Cmd: r.Command,
	})
	if err != nil {
		return nil, fmt.Errorf("run %q in the container: %w", r.Command[0], err)
	}
	attached, err := s.engine.ExecAttach(ctx, made.ID, client.ExecAttachOptions{TTY: r.TTY})
	if err != nil {
		return nil, fmt.Errorf("run %q in the container: %w", r.Command[0], err)
	}
	defer attached.Close()
	stop := context.AfterFunc(ctx, func() {
		killExec(s.engine, made.ID, t.container)
		attached.Close()
	})
	defer stop()
	go feed(attached.HijackedResponse, r.Stdin, r.TTY)
	if r.Resize != nil {
		go resize(ctx, s.engine, made.ID, r.Resize)
	}
	if r.TTY {
		_, err = io.Copy(r.Stdout, attached.Reader)
	} else {
		_, err = stdcopy.StdCopy(r.Stdout, r.Stderr, attached.Reader)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		killExec(s.engine, made.ID, t.container)
		return nil, fmt.Errorf("output of %q: %w", r.Command[0], err)
	}
	return execResult(ctx, s.engine, made.ID), nil
}

// feed copies what the user types. It ends when the user does, or with the connection's next write. A terminal has no end
// of input but the character for it, and the engine would end the command's output with the input.
func feed(to client.HijackedResponse, from io.Reader, tty bool) {
	_, _ = io.Copy(to.Conn, from)
	if tty {
		return
	}
	if c, ok := to.Conn.(client.CloseWriter); ok {
		_ = c.CloseWrite()
	}
}

func resize(ctx context.Context, e engine, id string, sizes <-chan driver.TerminalSize) {
	for {
		select {
		case size, open := <-sizes:
			if !open {
				return
			}
			// A command that has just begun has no terminal yet; it gets one within moments.
			for attempt := 0; attempt < 20; attempt++ {
				_, err := e.ExecResize(ctx, id, client.ExecResizeOptions{Height: uint(size.Height), Width: uint(size.Width)})
				if err == nil || ctx.Err() != nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
		case <-ctx.Done():
			return
		}
	}
}

// execEndWait bounds how long a command whose output has ended may take to be reported as ended.
const execEndWait = 5 * time.Second

func execResult(ctx context.Context, e engine, id string) *driver.ExitResult {
	deadline := time.Now().Add(execEndWait)
	for {
		found, err := e.ExecInspect(ctx, id, client.ExecInspectOptions{})
		if err == nil && !found.Running {
			return &driver.ExitResult{ExitCode: found.ExitCode}
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return &driver.ExitResult{ExitCode: unknownExit}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// killExec ends a command in a container. The engine cannot; on its own machine the driver can.
func killExec(e engine, id, container string) {
	ctx, cancel := context.WithTimeout(context.Background(), execEndWait)
	defer cancel()
	found, err := e.ExecInspect(ctx, id, client.ExecInspectOptions{})
	if err != nil || !found.Running || found.PID <= 0 {
		return
	}
	killInContainer(found.PID, container)
}
