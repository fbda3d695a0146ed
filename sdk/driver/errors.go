package driver

import "errors"

// The errors whose texts both hosts know. Return them, wrapped or not, and test them with errors.Is. The texts are part
// of the wire contract: hosts recognise them by text.
var (
	ErrTaskNotFound       = errors.New("task not found for given id")
	ErrStatsNotSupported  = errors.New("stats not implemented for driver")
	ErrExecNotSupported   = errors.New("driver does not support exec")
	ErrSignalNotSupported = errors.New("SignalTask is not supported by this driver")
	ErrTaskRunning        = errors.New("cannot destroy running task")
	ErrPluginDown         = errors.New("plugin is shut down")
	ErrStreamClosed       = errors.New("channel closed")
)

// errNilDuration answers requests that lack a duration they must carry.
var errNilDuration = errors.New("duration: nil Duration")

// RecoverableError is a failed start that is worth another attempt: the task's restart policy applies. Any other error
// from Start fails the task for good.
type RecoverableError struct {
	Err         error
	Recoverable bool
}

// Recoverable marks err as worth another attempt. It returns nil for a nil err.
func Recoverable(err error) error { return mark(err, true) }

// Unrecoverable marks err as final. A stats sample that can never succeed is ended this way.
func Unrecoverable(err error) error { return mark(err, false) }

func mark(err error, recoverable bool) error {
	if err == nil {
		return nil
	}
	return &RecoverableError{Err: err, Recoverable: recoverable}
}

// IsRecoverable reports whether err, or an error it wraps, is marked as worth another attempt.
func IsRecoverable(err error) bool {
	var r *RecoverableError
	return errors.As(err, &r) && r.Recoverable
}

// Error returns the text of the error inside; the mark does not show.
func (e *RecoverableError) Error() string { return e.Err.Error() }

// Unwrap returns the error inside.
func (e *RecoverableError) Unwrap() error { return e.Err }

// IsRecoverable reports the mark; host and SDK of other projects look for this method.
func (e *RecoverableError) IsRecoverable() bool { return e.Recoverable }
