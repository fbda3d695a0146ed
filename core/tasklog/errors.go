package tasklog

import "errors"

// Classes of failure; test with errors.Is.
var (
	ErrNotFound    = errors.New("no such stream")
	ErrConflict    = errors.New("stream is open with other paths")
	ErrDiskFull    = errors.New("disk full")
	ErrDropped     = errors.New("bytes were dropped")
	ErrInvalid     = errors.New("invalid request")
	ErrVersion     = errors.New("collector speaks another protocol version")
	ErrUnsupported = errors.New("the log collector is not supported on this platform yet")
	ErrClosed      = errors.New("client is closed")
)

// errorClasses are the names the classes have on the socket.
var errorClasses = []struct {
	name string
	err  error
}{
	{"not_found", ErrNotFound},
	{"conflict", ErrConflict},
	{"disk_full", ErrDiskFull},
	{"dropped", ErrDropped},
	{"invalid", ErrInvalid},
	{"version", ErrVersion},
}

func classOf(err error) string {
	for _, c := range errorClasses {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	return "internal"
}

// remoteError is a failure that the collector reported.
type remoteError struct {
	class error
	text  string
}

func newRemoteError(class, text string) error {
	for _, c := range errorClasses {
		if c.name == class {
			return &remoteError{class: c.err, text: text}
		}
	}
	return &remoteError{text: text}
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.class }
