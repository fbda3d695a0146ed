package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/droverhq/drover/sdk/driver"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

// stdinChunk is how much input travels in one message.
const stdinChunk = 16 << 10

// execGrace is how much longer than the command the plugin may take to answer.
const execGrace = 10 * time.Second

// ExecTask runs a short command in a task. Drivers keep only the last 4 KiB of each output stream.
func (d *Driver) ExecTask(ctx context.Context, taskID string, command []string, timeout time.Duration) (*ExecResult, error) {
	ctx, cancel := deadline(ctx, timeout+execGrace)
	defer cancel()
	resp, err := d.c.ExecTask(ctx, &driverv1.ExecTaskRequest{TaskId: taskID, Command: command, Timeout: durationpb.New(timeout)})
	if err != nil {
		return nil, callError(ctx, "exec in task "+taskID, err)
	}
	return &ExecResult{
		Stdout: resp.GetStdout(),
		Stderr: resp.GetStderr(),
		Exit:   *driver.ExitResultFromProto(resp.GetResult()),
	}, nil
}

// ExecTaskStreaming runs a command in a task with streams. It returns when the command has ended or ctx ends. A read
// from req.Stdin that is under way then is left to end by itself: close it if it can block.
func (d *Driver) ExecTaskStreaming(ctx context.Context, req *driver.ExecRequest) (*driver.ExitResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	what := "exec in task " + req.TaskID
	stream, err := d.c.ExecTaskStreaming(ctx)
	if err != nil {
		return nil, callError(ctx, what, err)
	}
	in := &execInput{stream: stream}
	setup := &driverv1.ExecTaskStreamingRequest_Setup{TaskId: req.TaskID, Command: req.Command, Tty: req.TTY}
	first := []*driverv1.ExecTaskStreamingRequest{{Setup: setup}}
	select {
	case size, open := <-req.Resize: // a size that is known already goes before input, which may hold it up
		if open {
			first = append(first, &driverv1.ExecTaskStreamingRequest{TtySize: sizeProto(size)})
		}
	default:
	}
	for _, msg := range first {
		if err := in.send(msg); err != nil && !errors.Is(err, io.EOF) { // EOF: the reason comes with Recv
			return nil, callError(ctx, what, err)
		}
	}
	go in.copyStdin(req.Stdin)
	go in.copySizes(ctx, req.Resize)
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: the plugin ended the stream without a result", what)
		}
		if err != nil {
			return nil, callError(ctx, what, err)
		}
		if err := errors.Join(writeTo(req.Stdout, msg.GetStdout()), writeTo(req.Stderr, msg.GetStderr())); err != nil {
			return nil, fmt.Errorf("%s: pass on output: %w", what, err)
		}
		if msg.GetExited() {
			return driver.ExitResultFromProto(msg.GetResult()), nil
		}
	}
}

func writeTo(w io.Writer, op *driverv1.ExecTaskStreamingIOOperation) error {
	if w == nil || len(op.GetData()) == 0 {
		return nil
	}
	_, err := w.Write(op.GetData())
	return err
}

// execInput sends what comes from two sides; a gRPC stream takes one sender at a time.
type execInput struct {
	mu     sync.Mutex
	stream grpc.BidiStreamingClient[driverv1.ExecTaskStreamingRequest, driverv1.ExecTaskStreamingResponse]
}

func (in *execInput) send(msg *driverv1.ExecTaskStreamingRequest) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.stream.Send(msg)
}

func (in *execInput) copyStdin(r io.Reader) {
	buffer := make([]byte, stdinChunk)
	for r != nil {
		n, err := r.Read(buffer)
		if n > 0 {
			op := &driverv1.ExecTaskStreamingIOOperation{Data: buffer[:n]}
			if in.send(&driverv1.ExecTaskStreamingRequest{Stdin: op}) != nil {
				return
			}
		}
		if err != nil {
			break
		}
	}
	closed := &driverv1.ExecTaskStreamingIOOperation{Close: true}
	_ = in.send(&driverv1.ExecTaskStreamingRequest{Stdin: closed})
}

func (in *execInput) copySizes(ctx context.Context, sizes <-chan driver.TerminalSize) {
	for {
		select {
		case size, open := <-sizes:
			if !open {
				return
			}
			if in.send(&driverv1.ExecTaskStreamingRequest{TtySize: sizeProto(size)}) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func sizeProto(size driver.TerminalSize) *driverv1.ExecTaskStreamingRequest_TerminalSize {
	return &driverv1.ExecTaskStreamingRequest_TerminalSize{Height: int32(size.Height), Width: int32(size.Width)}
}
