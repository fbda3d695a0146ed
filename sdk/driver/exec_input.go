package driver

import (
	"io"
	"sync"
)

// execInputLimit is how much input is kept for a command that does not read. It is bounded, and it is much, because what
// comes after it on the stream waits behind it: the size of the user's terminal, and the news that the user is gone.
const execInputLimit = 1 << 20

// execInput is a command's stdin: a queue between the stream and the command.
type execInput struct {
	mu      sync.Mutex
	changed *sync.Cond
	kept    []byte
	err     error // what Read returns at the end of kept: io.EOF, or why there is no more
	unread  bool  // the command has ended
}

func newExecInput() *execInput {
	in := &execInput{}
	in.changed = sync.NewCond(&in.mu)
	return in
}

// Read gives the command its input.
func (in *execInput) Read(p []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.kept) == 0 && in.err == nil && !in.unread {
		in.changed.Wait()
	}
	if len(in.kept) == 0 || in.unread {
		return 0, in.end()
	}
	n := copy(p, in.kept)
	in.kept = in.kept[n:]
	in.changed.Broadcast()
	return n, nil
}

func (in *execInput) end() error {
	if in.unread {
		return io.ErrClosedPipe
	}
	return in.err
}

// put adds input. It blocks while too much of it is kept, and drops it once nobody will read it.
func (in *execInput) put(data []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.kept) >= execInputLimit && !in.unread {
		in.changed.Wait()
	}
	if in.unread || in.err != nil {
		return
	}
	in.kept = append(in.kept, data...)
	in.changed.Broadcast()
}

// finish ends the input after what is kept. The first reason counts.
func (in *execInput) finish(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err == nil {
		in.err = err
	}
	in.changed.Broadcast()
}

// drop says that the command has ended.
func (in *execInput) drop() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.unread, in.kept = true, nil
	in.changed.Broadcast()
}
