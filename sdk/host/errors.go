package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/sdk/driver"
	structsv1 "github.com/droverhq/drover/sdk/proto/structs/v1"
	"github.com/droverhq/drover/sdk/proto/wire"
)

// The classes of errors that calls return, for errors.Is. A recoverable start failure is found with
// driver.IsRecoverable.
var (
	// ErrTaskNotFound: the plugin does not know the task. Stop and Destroy may count it as done.
	ErrTaskNotFound = driver.ErrTaskNotFound
	// ErrPluginDown: the plugin's process or its connection is gone. The call may have been carried out.
	ErrPluginDown = driver.ErrPluginDown
	// ErrUnimplemented: the plugin does not have the method.
	ErrUnimplemented = errors.New("the plugin does not implement this")
	// ErrReleased: the plugin has released its tasks to another process of it. The call was not carried out.
	ErrReleased = errors.New("the plugin has released its tasks")
	// ErrBusy: the plugin cannot release its tasks at this moment. Nothing was released.
	ErrBusy = errors.New("the plugin cannot release its tasks now")
	// ErrTooLarge: a message is larger than is sent or taken; what the plugin sent was not read.
	ErrTooLarge = errors.New("message is too large")
	// ErrNoHandshake: the process did not introduce itself as a plugin of a version we speak.
	ErrNoHandshake = errors.New("no usable plugin handshake")
)

// CallError is a failed call. Its text is what was called and what the plugin answered.
type CallError struct {
	Method  string
	Code    codes.Code
	Message string
	class   error // one of the classes above, a *driver.RecoverableError, a context error, or nil
}

// Error returns "<method>: <message>".
func (e *CallError) Error() string { return e.Method + ": " + e.Message }

// Unwrap returns the class, for errors.Is and errors.As.
func (e *CallError) Unwrap() error { return e.class }

// callError classifies what a call returned.
func callError(ctx context.Context, method string, err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return &CallError{Method: method, Code: codes.Unknown, Message: err.Error(), class: plainClass(err)}
	}
	if deadlineAtPlugin(ctx, st) {
		st = status.New(codes.DeadlineExceeded, context.DeadlineExceeded.Error())
	}
	e := &CallError{Method: method, Code: st.Code(), Message: st.Message()}
	e.class = classOf(ctx, st)
	switch {
	case errors.Is(e.class, ErrPluginDown):
		e.Message = downMessage(e.Message)
	case e.class == ErrTooLarge:
		e.Message = tooLargeMessage(e.Message)
	}
	return e
}

// deadlineAtPlugin reports whether a call was ended by its deadline on the plugin's side: its gRPC library knows the
// deadline too, and may cancel the stream a moment before our own clock does.
func deadlineAtPlugin(ctx context.Context, st *status.Status) bool {
	const moment = 100 * time.Millisecond
	if st.Code() == codes.DeadlineExceeded {
		return strings.Contains(st.Message(), "RST_STREAM") // gRPC noticed itself, and says how instead of what
	}
	deadline, ok := ctx.Deadline()
	return ok && st.Code() == codes.Canceled && !errors.Is(ctx.Err(), context.Canceled) && time.Until(deadline) < moment
}

// tooLargeMessage says who sent a message that is over a limit, and its size and the limit in bytes.
func tooLargeMessage(text string) string {
	var size, most int
	if i := strings.IndexByte(text, '('); i >= 0 {
		_, _ = fmt.Sscanf(text[i:], "(%d vs. %d)", &size, &most)
	}
	switch {
	case size == 0:
		return fmt.Sprintf("%s: %s", ErrTooLarge, text)
	case strings.Contains(text, "to send"):
		return fmt.Sprintf("%s: it has %d bytes, at most %d are sent to a plugin", ErrTooLarge, size, most)
	case most == maxReceive || most == maxReport:
		return fmt.Sprintf("%s: the plugin's answer has %d bytes, at most %d are taken", ErrTooLarge, size, most)
	}
	return fmt.Sprintf("%s: it has %d bytes, the plugin takes at most %d", ErrTooLarge, size, most)
}

// downMessage says first that the plugin is down and then how that was noticed, unless it was by what Dial refuses.
func downMessage(text string) string {
	if strings.Contains(text, ErrPluginDown.Error()) {
		return ErrPluginDown.Error()
	}
	return fmt.Sprintf("%s (%s)", ErrPluginDown, text)
}

func plainClass(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrPluginDown
	}
	return err
}

func classOf(ctx context.Context, st *status.Status) error {
	if marked := recoverableOf(st); marked != nil {
		return marked
	}
	switch st.Code() {
	case codes.ResourceExhausted:
		if strings.Contains(st.Message(), "larger than max") {
			return ErrTooLarge
		}
	case codes.Unavailable:
		return ErrPluginDown
	case codes.Unimplemented:
		return ErrUnimplemented
	case codes.Canceled:
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return ErrPluginDown
	case codes.Aborted:
		return ErrReleased
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case codes.Unknown, codes.NotFound:
		return classOfText(st.Message())
	}
	return nil
}

// classOfText recognises the texts of the contract and, for an unknown task, those of known plugins.
func classOfText(text string) error {
	switch {
	case strings.Contains(text, ErrTaskNotFound.Error()), strings.HasPrefix(text, "task does not exist:"):
		return ErrTaskNotFound
	case strings.Contains(text, ErrPluginDown.Error()):
		return ErrPluginDown
	case strings.Contains(text, driver.ErrTaskRunning.Error()):
		return driver.ErrTaskRunning
	case strings.Contains(text, driver.ErrStatsNotSupported.Error()):
		return driver.ErrStatsNotSupported
	case strings.Contains(text, driver.ErrExecNotSupported.Error()):
		return driver.ErrExecNotSupported
	case strings.Contains(text, driver.ErrSignalNotSupported.Error()):
		return driver.ErrSignalNotSupported
	case strings.Contains(text, driver.ErrStreamClosed.Error()):
		return driver.ErrStreamClosed
	}
	return nil
}

// recoverableOf finds the mark of a failure. Only the first detail counts, whatever the code.
func recoverableOf(st *status.Status) error {
	details := st.Proto().GetDetails()
	if len(details) == 0 || details[0].GetTypeUrl() != wire.RecoverableErrorURL {
		return nil
	}
	var mark structsv1.RecoverableError
	if proto.Unmarshal(details[0].GetValue(), &mark) != nil {
		return nil
	}
	inner := classOfText(st.Message())
	if inner == nil {
		inner = errors.New(st.Message())
	}
	return &driver.RecoverableError{Err: inner, Recoverable: mark.GetRecoverable()}
}
