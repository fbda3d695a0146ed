//go:build unix

package onenode

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// output is a FIFO and what reads it. It is opened for writing here too, so that no end of a writer ends it.
type output struct {
	path string
	fifo *os.File
	to   io.Writer
	done chan struct{}
}

func newOutput(path string, to io.Writer) (*output, error) {
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("make fifo %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o666); err != nil { // the task may run as another user
		return nil, err
	}
	fifo, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	o := &output{path: path, fifo: fifo, to: to, done: make(chan struct{})}
	go o.read()
	return o, nil
}

// read passes on what comes until drain interrupts it, and then what is left.
func (o *output) read() {
	defer close(o.done)
	defer o.fifo.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := o.fifo.Read(buf)
		_, _ = o.to.Write(buf[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return
		}
	}
	_ = o.fifo.SetReadDeadline(time.Time{})
	raw, err := o.fifo.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		for {
			n, err := syscall.Read(int(fd), buf)
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			if n <= 0 || err != nil {
				return true // empty
			}
			_, _ = o.to.Write(buf[:n])
		}
	})
}

func (o *output) drain() {
	if o == nil {
		return
	}
	_ = o.fifo.SetReadDeadline(time.Now())
	<-o.done
}

func insideDirs() (shared, local, secrets string) { return "/alloc", "/local", "/secrets" }
