package onenode

import (
	"io"
	"os"
	"sync"
	"time"
)

// pollInterval is how often a task's output file is looked at.
const pollInterval = 100 * time.Millisecond

// output is a file that the task writes, and what reads it: unlike a named pipe it needs nobody to be there first.
type output struct {
	path string
	file *os.File
	to   io.Writer
	end  chan struct{}
	once sync.Once
	done chan struct{}
}

func newOutput(path string, to io.Writer) (*output, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o666)
	if err != nil {
		return nil, err
	}
	o := &output{path: path, file: file, to: to, end: make(chan struct{}), done: make(chan struct{})}
	go o.read()
	return o, nil
}

func (o *output) read() {
	defer close(o.done)
	defer o.file.Close()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		_, _ = io.Copy(o.to, o.file)
		select {
		case <-ticker.C:
		case <-o.end:
			_, _ = io.Copy(o.to, o.file)
			return
		}
	}
}

func (o *output) drain() {
	if o == nil {
		return
	}
	o.once.Do(func() { close(o.end) })
	<-o.done
}

func insideDirs() (shared, local, secrets string) { return `c:\alloc`, `c:\local`, `c:\secrets` }
