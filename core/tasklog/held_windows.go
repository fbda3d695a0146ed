package tasklog

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// drainQuiet is how long a stream that is being closed must be silent while a writer still holds its pipe. The exit of the
// task is known then, and what it wrote is in the pipe's buffer.
const drainQuiet = 100 * time.Millisecond

// held is a stream in the collector: a named pipe with any number of writers, and the files they end up in.
type held struct {
	rec    record
	report func(Event)
	limit  time.Duration // how long a write waits for a full disk before bytes are dropped
	pipe   *pipeListener // nil for streams that are written by append only

	mu      sync.Mutex // guards the rest, and the sink's calls
	sink    *sink      // nil while broken
	broken  error
	writers map[net.Conn]struct{}
	closing bool
	dropped int64
	stalled bool

	readers sync.WaitGroup
}

// startHeld opens files and pipe and begins to read.
func startHeld(rec record, journalPath string, limit time.Duration, report func(Event)) (*held, error) {
	h := &held{rec: rec, report: report, limit: limit, writers: map[net.Conn]struct{}{}}
	s, err := openSink(rec.Stream, journalPath)
	if err != nil {
		return h, fmt.Errorf("open stream %s: %w", rec.Stream.ID, err)
	}
	if rec.Stream.FIFO != "" {
		if h.pipe, err = listenPipe(rec.Stream.FIFO); err != nil {
			s.close()
			return h, fmt.Errorf("open stream %s: %w", rec.Stream.ID, err)
		}
		h.readers.Go(h.accept)
	}
	h.sink = s
	return h, nil
}

// accept takes every writer: a task opens its pipe for itself and again for each program that writes there by name.
func (h *held) accept() {
	for {
		conn, err := h.pipe.Accept()
		if err != nil {
			return // closed
		}
		h.mu.Lock()
		h.writers[conn] = struct{}{}
		if h.closing {
			_ = conn.SetReadDeadline(time.Now().Add(drainQuiet))
		}
		h.mu.Unlock()
		h.readers.Go(func() { h.read(conn) })
	}
}

// read moves what one writer writes until it hangs up or, while the stream is being closed, falls silent.
func (h *held) read(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := conn.Read(buffer)
		h.mu.Lock()
		if n > 0 {
			h.store(buffer[:n])
		}
		if h.closing {
			_ = conn.SetReadDeadline(time.Now().Add(drainQuiet))
		}
		if err != nil {
			delete(h.writers, conn)
		}
		h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// store writes to the files. Where they refuse it waits, and the task with it, and at last drops the bytes with a marker
// line. h.mu is held.
func (h *held) store(data []byte) {
	if h.dropped > 0 && !h.stalled {
		h.dropped = 0
	}
	began := time.Now()
	for {
		if h.stalled {
			marker := fmt.Sprintf("[drover: %d bytes dropped: disk full]\n", h.dropped)
			if h.sink.write([]byte(marker)) == nil {
				h.stalled = false
				h.report(Event{Time: time.Now(), Kind: EventDropped, StreamID: h.rec.Stream.ID, Bytes: h.dropped, Message: "writing works again"})
			}
		}
		err := h.sink.write(data)
		if err == nil {
			return
		}
		if h.stalled || time.Since(began) >= h.limit {
			if !h.stalled {
				h.report(Event{Time: time.Now(), Kind: EventDropping, StreamID: h.rec.Stream.ID,
					Message: fmt.Sprintf("dropping bytes, the log could not be written for %s: %v", h.limit, err)})
			}
			h.stalled = true
			h.dropped += int64(len(data))
			return
		}
		time.Sleep(stallRetry)
	}
}

// finish moves what the pipe still holds and lets go of everything. It returns how many bytes were lost.
func (h *held) finish() int64 {
	h.mu.Lock()
	h.closing = true
	for conn := range h.writers {
		_ = conn.SetReadDeadline(time.Now().Add(drainQuiet))
	}
	h.mu.Unlock()
	if h.pipe != nil {
		h.pipe.Close()
	}
	h.readers.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sink != nil {
		h.sink.close()
		h.sink = nil
	}
	if h.stalled {
		return h.dropped
	}
	return 0
}

func (h *held) info() StreamInfo {
	h.mu.Lock()
	defer h.mu.Unlock()
	info := StreamInfo{Stream: h.rec.Stream, Stalled: h.stalled, Dropped: h.dropped}
	if h.broken != nil {
		info.Error = h.broken.Error()
	}
	if h.sink != nil {
		info.File = fileName(h.rec.Stream.Prefix, h.sink.index)
		info.Size, _ = h.sink.size()
		info.Written = h.sink.written
	}
	return info
}
