package rpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Classes of errors that cross the wire. Test with errors.Is; the text is for people.
var (
	ErrNotFound   = errors.New("not found")
	ErrInvalid    = errors.New("invalid request")
	ErrDenied     = errors.New("Permission denied")
	ErrConflict   = errors.New("conflict")
	ErrNoLeader   = errors.New("No cluster leader")
	ErrNoPath     = errors.New("no connection to the node")
	ErrExhausted  = errors.New("limit reached")
	ErrUnknown    = errors.New("unsupported")
	ErrNotRunning = errors.New("not running")
)

var classes = []struct {
	err  error
	code codes.Code
}{
	{ErrNotFound, codes.NotFound},
	{ErrInvalid, codes.InvalidArgument},
	{ErrDenied, codes.PermissionDenied},
	{ErrConflict, codes.Aborted},
	{ErrNoLeader, codes.Unavailable},
	{ErrNoPath, codes.OutOfRange},
	{ErrExhausted, codes.ResourceExhausted},
	{ErrUnknown, codes.Unimplemented},
	{ErrNotRunning, codes.FailedPrecondition},
}

// Error is an error of a class with a text of its own.
type Error struct {
	Class error
	Text  string
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return e.Class }

// Errorf makes an error of a class: Errorf(ErrNotFound, "alloc not found").
func Errorf(class error, format string, args ...any) error {
	return &Error{Class: class, Text: fmt.Sprintf(format, args...)}
}

// toStatus is what the serving end sends.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return status.Error(c.code, err.Error())
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return status.Error(codes.Unknown, err.Error())
}

// fromStatus is what the calling end sees.
func fromStatus(err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	switch st.Code() {
	case codes.OK:
		return nil
	case codes.Canceled:
		return fmt.Errorf("%s: %w", st.Message(), context.Canceled)
	case codes.DeadlineExceeded:
		return fmt.Errorf("%s: %w", st.Message(), context.DeadlineExceeded)
	}
	for _, c := range classes {
		if st.Code() == c.code {
			return &Error{Class: c.err, Text: st.Message()}
		}
	}
	return errors.New(st.Message())
}
