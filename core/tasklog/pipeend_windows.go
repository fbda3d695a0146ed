package tasklog

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/windows"
)

// drainQuiet is how long a stream that is being closed must be silent while a writer still holds its pipe. The exit of the
// task is known then, and what it wrote is in the pipe's buffer.
const drainQuiet = 100 * time.Millisecond

// pipeEnd is the reading end of one writer's pipe. It is read with an event and not by Go's poller: a file is tied to the
// first poller that sees it for ever, and this one may have been a collector's that was killed.
type pipeEnd struct {
	h       windows.Handle
	arrived windows.Handle // event of the read that is under way
	closing windows.Handle // event of the stream: reads end at the first silence
}

func newPipeEnd(h, closing windows.Handle) (*pipeEnd, error) {
	arrived, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return nil, err
	}
	return &pipeEnd{h, arrived, closing}, nil
}

// read waits for bytes. io.EOF means that the writer has hung up, or is silent while the stream is being closed.
func (p *pipeEnd) read(buffer []byte) (int, error) {
	overlapped := &windows.Overlapped{HEvent: p.arrived}
	var n uint32
	err := windows.ReadFile(p.h, buffer, nil, overlapped)
	if err != nil && !errors.Is(err, windows.ERROR_IO_PENDING) {
		return 0, ended(err)
	}
	which, err := windows.WaitForMultipleObjects([]windows.Handle{p.arrived, p.closing}, false, windows.INFINITE)
	if err == nil && which != windows.WAIT_OBJECT_0 {
		if event, err := windows.WaitForSingleObject(p.arrived, uint32(drainQuiet/time.Millisecond)); err != nil || event != windows.WAIT_OBJECT_0 {
			_ = windows.CancelIoEx(p.h, overlapped)
		}
	}
	// The kernel must be done with buffer and overlapped before they may go. A read that was cancelled too late has its bytes.
	if err := windows.GetOverlappedResult(p.h, overlapped, &n, true); err != nil {
		return 0, ended(err)
	}
	return int(n), nil
}

// ended is what an error of a read means: there is no more.
func ended(err error) error {
	if errors.Is(err, windows.ERROR_BROKEN_PIPE) || errors.Is(err, windows.ERROR_OPERATION_ABORTED) || errors.Is(err, windows.ERROR_PIPE_NOT_CONNECTED) {
		return io.EOF
	}
	return err
}

func (p *pipeEnd) close() {
	windows.CloseHandle(p.h)
	windows.CloseHandle(p.arrived)
}
