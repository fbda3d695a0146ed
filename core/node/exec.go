package node

import (
	"context"
	"io"
	"sync"

	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/sdk/driver"
)

// allocExec connects a caller with a command that the driver runs inside a task.
func (n *Node) allocExec(s *rpc.BidiServer[rpc.ExecInput, rpc.ExecOutput]) error {
	if n.cfg.DisableRemoteExec {
		return rpc.Errorf(rpc.ErrDenied, "exec is disabled on this node (client.disable_remote_exec)")
	}
	first, err := s.Recv()
	if err != nil {
		return err
	}
	setup := first.Setup
	if setup == nil || len(setup.Command) == 0 {
		return rpc.Errorf(rpc.ErrInvalid, "the first message must say what to run")
	}
	r, err := n.find(setup.AllocID)
	if err != nil {
		return err
	}
	t := r.Task(setup.Task)
	if t == nil {
		return rpc.Errorf(rpc.ErrInvalid, "task %q not found in allocation %s", setup.Task, setup.AllocID)
	}
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	c := &execCall{stream: s}
	stdin, input := io.Pipe()
	resize := make(chan driver.TerminalSize, 1)
	go c.read(ctx, input, resize) // ends with the stream, which ends when this function returns

	req := driver.ExecRequest{
		Command: setup.Command, TTY: setup.TTY, Stdin: stdin,
		Stdout: execWriter(func(b []byte) error { return c.send(&rpc.ExecOutput{Stdout: b}) }),
		Stderr: execWriter(func(b []byte) error { return c.send(&rpc.ExecOutput{Stderr: b}) }),
	}
	if setup.TTY {
		req.Resize = resize
	}
	result, err := t.Exec(ctx, req)
	stdin.Close()
	if err != nil {
		return err
	}
	if result.Err != "" {
		c.send(&rpc.ExecOutput{Stderr: []byte(result.Err + "\n")})
	}
	c.send(&rpc.ExecOutput{StdoutClose: true})
	c.send(&rpc.ExecOutput{StderrClose: true})
	return c.send(&rpc.ExecOutput{Exited: true, ExitCode: result.ExitCode})
}

// execCall is one session.
type execCall struct {
	mu     sync.Mutex
	stream *rpc.BidiServer[rpc.ExecInput, rpc.ExecOutput]
}

func (c *execCall) send(o *rpc.ExecOutput) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream.Send(o)
}

// read passes on what the caller types until it goes away.
func (c *execCall) read(ctx context.Context, input *io.PipeWriter, resize chan driver.TerminalSize) {
	defer close(resize)
	for {
		in, err := c.stream.Recv()
		if err != nil {
			input.Close()
			return
		}
		if len(in.Stdin) > 0 {
			input.Write(in.Stdin) // fails once the command is over
		}
		if in.CloseStdin {
			input.Close()
		}
		if in.TTYSize == nil {
			continue
		}
		size := driver.TerminalSize{Height: int(in.TTYSize.Height), Width: int(in.TTYSize.Width)}
		select {
		case resize <- size:
		case <-ctx.Done():
		}
	}
}

type execWriter func([]byte) error

func (w execWriter) Write(b []byte) (int, error) {
	if err := w(b); err != nil {
		return 0, err
	}
	return len(b), nil
}
