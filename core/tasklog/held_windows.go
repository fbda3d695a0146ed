package tasklog

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/windows"
)

// held is a stream in the collector: a named pipe with any number of writers, and the files they end up in.
type held struct {
	rec    record
	report func(Event)
	limit  time.Duration // how long a write waits for a full disk before bytes are dropped
	vault  *vault
	pipe   *pipeListener  // nil for streams that are written by append only
	closed windows.Handle // event: the stream is being closed

	mu      sync.Mutex // guards the rest, and the sink's calls
	sink    *sink      // nil while broken
	broken  error
	closing bool
	dropped int64
	stalled bool

	readers sync.WaitGroup
}

// startHeld opens files and pipe and begins to read. left are pipes of a collector that was killed.
func startHeld(rec record, journalPath string, limit time.Duration, v *vault, left []windows.Handle, report func(Event)) (*held, error) {
	h := &held{rec: rec, report: report, limit: limit, vault: v}
	s, err := openSink(rec.Stream, journalPath)
	if err != nil {
		closeAll(left)
		return h, fmt.Errorf("open stream %s: %w", rec.Stream.ID, err)
	}
	h.sink = s
	if rec.Stream.FIFO == "" {
		return h, nil
	}
	if h.closed, err = windows.CreateEvent(nil, 1, 0, nil); err == nil {
		h.pipe, err = listenPipe(rec.Stream.FIFO, len(left) == 0)
	}
	if err != nil {
		s.close()
		h.sink = nil
		closeAll(left)
		return h, fmt.Errorf("open stream %s: %w", rec.Stream.ID, err)
	}
	for _, end := range left {
		h.take(end)
	}
	h.readers.Go(h.accept)
	return h, nil
}

func closeAll(handles []windows.Handle) {
	for _, h := range handles {
		windows.CloseHandle(h)
	}
}

// accept takes every writer: a task opens its pipe for itself and again for each program that writes there by name.
func (h *held) accept() {
	for {
		end, err := h.pipe.accept()
		if err != nil {
			return // closed
		}
		h.take(end)
	}
}

// take begins to read a writer's pipe.
func (h *held) take(handle windows.Handle) {
	end, err := newPipeEnd(handle, h.closed)
	if err != nil {
		windows.CloseHandle(handle)
		return
	}
	if err := h.vault.put(handle, h.rec.Stream.ID); err != nil {
		h.report(Event{Time: time.Now(), Kind: EventError, StreamID: h.rec.Stream.ID, Message: err.Error()})
	}
	h.readers.Go(func() { h.read(end) })
}

// read moves what one writer writes until it hangs up or, while the stream is being closed, falls silent.
func (h *held) read(end *pipeEnd) {
	defer end.close()
	defer h.vault.drop(end.h)
	buffer := make([]byte, 32<<10)
	for {
		n, err := end.read(buffer)
		if n > 0 {
			h.mu.Lock()
			h.store(buffer[:n])
			h.mu.Unlock()
		}
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
	if h.closed != 0 {
		_ = windows.SetEvent(h.closed)
	}
	h.mu.Unlock()
	if h.pipe != nil {
		h.pipe.Close()
	}
	h.readers.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed != 0 {
		windows.CloseHandle(h.closed)
		h.closed = 0
	}
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
