package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"google.golang.org/grpc"

	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

const (
	// execTail is how much of each stream the short form keeps: the end of it.
	execTail = 4 << 10
	// execChunk bounds one message of the streaming form.
	execChunk = 32 << 10
)

// ExecTask runs a command and answers with the end of its output.
func (s *server[C, S]) ExecTask(ctx context.Context, req *driverv1.ExecTaskRequest) (*driverv1.ExecTaskResponse, error) {
	if req.GetTimeout() == nil {
		return nil, errNilDuration
	}
	w, ok := s.impl.(WithExec)
	if !ok {
		return nil, errors.New("ExecTask is not supported by this driver")
	}
	if err := s.execAllowed(req.GetTaskId(), req.GetCommand()); err != nil {
		return nil, err
	}
	if timeout := req.GetTimeout().AsDuration(); timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("command timed out after %s", timeout))
		defer cancel()
	}
	var stdout, stderr tail
	exit, err := w.Exec(ctx, &ExecRequest{
		TaskID:  req.GetTaskId(),
		Command: req.GetCommand(),
		Stdin:   strings.NewReader(""),
		Stdout:  &stdout,
		Stderr:  &stderr,
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, statusOf(err)
	}
	return &driverv1.ExecTaskResponse{Stdout: stdout.bytes(), Stderr: stderr.bytes(), Result: exit.Proto()}, nil
}

func (s *server[C, S]) execAllowed(id string, command []string) error {
	if len(command) == 0 {
		return errors.New("exec: the command is empty")
	}
	t, err := s.tasks.get(id)
	if err != nil {
		return err
	}
	if t.ended() {
		return fmt.Errorf("exec: task %s has ended", id)
	}
	return nil
}

// ExecTaskStreaming runs a command with streams to and from its user.
func (s *server[C, S]) ExecTaskStreaming(stream grpc.BidiStreamingServer[driverv1.ExecTaskStreamingRequest, driverv1.ExecTaskStreamingResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	setup := first.GetSetup()
	if setup == nil {
		return errors.New("first message should always be setup")
	}
	w, ok := s.impl.(WithExec)
	if !ok {
		return ErrExecNotSupported
	}
	if err := s.execAllowed(setup.GetTaskId(), setup.GetCommand()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	stdin := newExecInput()
	defer stdin.drop()
	out := &execOutput{stream: stream}
	req := &ExecRequest{
		TaskID:  setup.GetTaskId(),
		Command: setup.GetCommand(),
		TTY:     setup.GetTty(),
		Stdin:   stdin,
		Stdout: out.writer(func(op *driverv1.ExecTaskStreamingIOOperation) *driverv1.ExecTaskStreamingResponse {
			return &driverv1.ExecTaskStreamingResponse{Stdout: op}
		}),
		Stderr: out.writer(func(op *driverv1.ExecTaskStreamingIOOperation) *driverv1.ExecTaskStreamingResponse {
			return &driverv1.ExecTaskStreamingResponse{Stderr: op}
		}),
	}
	sizes := make(chan TerminalSize, 1)
	if req.TTY {
		req.Resize = sizes
	}
	pushSize(sizes, first.GetTtySize())
	// The feeder ends when the stream does, which is when this function returns.
	go feed(stream, stdin, sizes, cancel)
	exit, err := w.Exec(ctx, req)
	if err != nil {
		return statusOf(err)
	}
	return out.finish(exit)
}

// feed brings what the user types and how the terminal is sized. It ends the command when the user is gone.
func feed(stream grpc.BidiStreamingServer[driverv1.ExecTaskStreamingRequest, driverv1.ExecTaskStreamingResponse], stdin *execInput, sizes chan TerminalSize, gone context.CancelFunc) {
	defer close(sizes)
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			stdin.finish(io.EOF) // the user sends no more; the command may still answer
			return
		}
		if err != nil {
			stdin.finish(err)
			gone()
			return
		}
		pushSize(sizes, msg.GetTtySize())
		stdin.put(msg.GetStdin().GetData())
		if msg.GetStdin().GetClose() {
			stdin.finish(io.EOF)
		}
	}
}

// pushSize keeps only the newest size for a command that does not keep up.
func pushSize(sizes chan TerminalSize, p *driverv1.ExecTaskStreamingRequest_TerminalSize) {
	if p == nil {
		return
	}
	select {
	case <-sizes:
	default:
	}
	sizes <- TerminalSize{Height: int(p.GetHeight()), Width: int(p.GetWidth())}
}

// execOutput sends both output streams over one gRPC stream.
type execOutput struct {
	mu     sync.Mutex
	stream grpc.BidiStreamingServer[driverv1.ExecTaskStreamingRequest, driverv1.ExecTaskStreamingResponse]
	done   bool
}

type wrapFunc func(*driverv1.ExecTaskStreamingIOOperation) *driverv1.ExecTaskStreamingResponse

type execWriter struct {
	out  *execOutput
	wrap wrapFunc
}

func (o *execOutput) writer(wrap wrapFunc) io.Writer { return &execWriter{out: o, wrap: wrap} }

func (w *execWriter) Write(data []byte) (int, error) {
	written := 0
	for len(data) > 0 {
		chunk := data[:min(len(data), execChunk)]
		if err := w.out.send(w.wrap(&driverv1.ExecTaskStreamingIOOperation{Data: chunk})); err != nil {
			return written, err
		}
		written += len(chunk)
		data = data[len(chunk):]
	}
	return written, nil
}

func (o *execOutput) send(msg *driverv1.ExecTaskStreamingResponse) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done {
		return io.ErrClosedPipe
	}
	return o.stream.Send(msg)
}

// finish closes both streams and sends how the command ended. Later writes fail.
func (o *execOutput) finish(exit *ExitResult) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done = true
	closed := &driverv1.ExecTaskStreamingIOOperation{Close: true}
	for _, msg := range []*driverv1.ExecTaskStreamingResponse{
		{Stdout: closed},
		{Stderr: closed},
		{Exited: true, Result: exit.Proto()},
	} {
		if err := o.stream.Send(msg); err != nil {
			return err
		}
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, data[max(0, len(data)-execTail):]...)
	if extra := len(t.kept) - execTail; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(data), nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]byte(nil), t.kept...)
}
