package tasklog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// pipeBuffer is how many bytes a named pipe takes before its writer waits.
const pipeBuffer = 64 << 10

// pipeConn is one end of a named pipe. It was opened for overlapped I/O, so reads can be given a deadline.
type pipeConn struct {
	*os.File
}

func newPipeConn(h windows.Handle, name string) *pipeConn {
	return &pipeConn{os.NewFile(uintptr(h), name)}
}

func (c *pipeConn) LocalAddr() net.Addr  { return pipeAddr(c.Name()) }
func (c *pipeConn) RemoteAddr() net.Addr { return pipeAddr(c.Name()) }

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

// pipeListener makes an instance of a named pipe for each client. One that waits exists at all times, so that clients
// never find the name missing.
type pipeListener struct {
	name       string
	descriptor *windows.SECURITY_DESCRIPTOR
	stop       windows.Handle // event: set when the listener is closed
	once       sync.Once

	mu     sync.Mutex // held while Accept waits
	next   windows.Handle
	closed bool
}

// listenPipe makes a named pipe that only this user and the system may open. If it is to be the first of this name it fails
// if the name is taken.
func listenPipe(name string, first bool) (*pipeListener, error) {
	l := &pipeListener{name: strings.ReplaceAll(name, "/", `\`)}
	text, err := private()
	if err == nil {
		l.descriptor, err = windows.SecurityDescriptorFromString(text)
	}
	if err == nil {
		l.stop, err = windows.CreateEvent(nil, 1, 0, nil)
	}
	if err == nil {
		flags := uint32(0)
		if first {
			flags = windows.FILE_FLAG_FIRST_PIPE_INSTANCE
		}
		l.next, err = l.instance(flags)
	}
	if err != nil {
		if l.stop != 0 {
			windows.CloseHandle(l.stop)
		}
		return nil, fmt.Errorf("make named pipe %s: %w", name, err)
	}
	return l, nil
}

// private is the security descriptor of pipes that only this user and the system may open.
func private() (string, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "", fmt.Errorf("ask for this process' user: %w", err)
	}
	return fmt.Sprintf("D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;%s)", user.User.Sid), nil
}

func (l *pipeListener) instance(flags uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(l.name)
	if err != nil {
		return 0, err
	}
	attributes := windows.SecurityAttributes{SecurityDescriptor: l.descriptor}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	const mode = windows.PIPE_TYPE_BYTE | windows.PIPE_WAIT | windows.PIPE_REJECT_REMOTE_CLIENTS
	return windows.CreateNamedPipe(name, windows.PIPE_ACCESS_DUPLEX|windows.FILE_FLAG_OVERLAPPED|flags, mode,
		windows.PIPE_UNLIMITED_INSTANCES, pipeBuffer, pipeBuffer, 0, &attributes)
}

// Accept waits for a client. After Close it returns net.ErrClosed.
func (l *pipeListener) Accept() (net.Conn, error) {
	h, err := l.accept()
	if err != nil {
		return nil, err
	}
	return newPipeConn(h, l.name), nil
}

// accept is Accept for those who read in their own way.
func (l *pipeListener) accept() (windows.Handle, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed {
		err := l.connect()
		if err == nil {
			h := l.next
			if l.next, err = l.instance(0); err != nil {
				l.next = 0
				l.closed = true
				windows.CloseHandle(h)
				return 0, fmt.Errorf("make another instance of named pipe %s: %w", l.name, err)
			}
			return h, nil
		}
		if errors.Is(err, windows.ERROR_NO_DATA) { // came and went
			windows.CloseHandle(l.next)
			if l.next, err = l.instance(0); err == nil {
				continue
			}
			l.next = 0
		}
		if !l.closed {
			l.closed = true
			return 0, fmt.Errorf("wait for a client of named pipe %s: %w", l.name, err)
		}
	}
	if l.next != 0 {
		windows.CloseHandle(l.next)
		l.next = 0
	}
	return 0, net.ErrClosed
}

// connect waits until a client has opened the waiting instance, or the listener is closed.
func (l *pipeListener) connect() error {
	event, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(event)
	overlapped := &windows.Overlapped{HEvent: event}
	err = windows.ConnectNamedPipe(l.next, overlapped)
	switch {
	case err == nil, errors.Is(err, windows.ERROR_PIPE_CONNECTED):
		return nil
	case !errors.Is(err, windows.ERROR_IO_PENDING):
		return err
	}
	which, err := windows.WaitForMultipleObjects([]windows.Handle{event, l.stop}, false, windows.INFINITE)
	var n uint32
	if err == nil && which == windows.WAIT_OBJECT_0 {
		return windows.GetOverlappedResult(l.next, overlapped, &n, false)
	}
	// The kernel must be done with overlapped before it may go. A client that came at this moment is served.
	_ = windows.CancelIoEx(l.next, overlapped)
	if windows.GetOverlappedResult(l.next, overlapped, &n, true) == nil {
		return nil
	}
	l.closed = true
	return net.ErrClosed
}

// Close ends a waiting Accept, which lets go of the pipe's name.
func (l *pipeListener) Close() error {
	l.once.Do(func() { _ = windows.SetEvent(l.stop) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr(l.name) }

// dialPipe opens a named pipe. It waits while all instances are taken, and fails at once if there is none.
func dialPipe(ctx context.Context, name string) (net.Conn, error) {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	for {
		h, err := windows.CreateFile(path, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OVERLAPPED|windows.SECURITY_SQOS_PRESENT|windows.SECURITY_ANONYMOUS, 0)
		if err == nil {
			return newPipeConn(h, name), nil
		}
		if !errors.Is(err, windows.ERROR_PIPE_BUSY) {
			return nil, &os.PathError{Op: "open named pipe", Path: name, Err: err}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond): // WaitNamedPipe cannot be cancelled
		}
	}
}
