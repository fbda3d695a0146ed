package tasklog

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// turnBytes is how much one stream may move before the others get their turn.
const turnBytes = 1 << 20

// held is a stream in the collector: its pump and where it stands between open and close.
type held struct {
	rec    record
	pump   *pump // nil while broken
	broken error // why it could not be opened again

	// stalled since then; zero: writing works. Past stallLimit bytes are dropped.
	stalled  time.Time
	retryAt  time.Time
	dropping bool
	watched  bool // epoll reports bytes in the pipe
	quota    quota
	wakeAt   time.Time // when a stream over its rate is read again

	closing *closing
}

// closing is what remains to be done before a close is answered.
type closing struct {
	left    int64 // bytes that were in the pipe when close was asked for
	dropped int64 // pump.dropped at that time
	waiters []waiter
}

// waiter is a request that is answered later.
type waiter struct {
	session *session
	seq     uint64
}

func (h *held) info() StreamInfo {
	info := StreamInfo{Stream: h.rec.Stream, Stalled: !h.stalled.IsZero()}
	if h.broken != nil {
		info.Error = h.broken.Error()
	}
	if h.pump != nil {
		info.File = h.pump.out.name()
		info.Size, _ = h.pump.out.size()
		info.Written, info.Dropped = h.pump.written, h.pump.dropped
	}
	return info
}

// reasonOf names a write error for people.
func reasonOf(err error) string {
	if isDiskFull(err) {
		return "disk full"
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return "write error"
}

func isDiskFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// serve gives a stream its turn: it moves bytes, and where the file refuses them it waits and at last drops them.
func (c *collector) serve(h *held, now time.Time) {
	if h.pump == nil {
		return
	}
	if h.pump.fifo < 0 && h.pump.lost == 0 {
		c.finishIfDrained(h, 0)
		return
	}
	if h.dropping && now.Before(h.retryAt) && h.closing == nil {
		c.discard(h, h.pump.reason, now) // a file that could just not be written is not tried for every line
		return
	}
	lost := h.pump.lost
	moved, err := h.pump.run(turnBytes, h.closing != nil)
	c.moved += moved
	if lost > 0 && h.pump.lost == 0 {
		c.publish(Event{Time: now, Kind: EventDropped, StreamID: h.rec.Stream.ID, Bytes: lost,
			Message: fmt.Sprintf("%d bytes dropped: %s; writing works again", lost, h.pump.reason)})
	}
	if err != nil {
		moved += c.stall(h, err, now)
	} else if !h.stalled.IsZero() {
		c.recovered(h)
	}
	c.watch(h, h.stalled.IsZero() || h.dropping)
	if wait := h.quota.take(moved, h.rec.Stream.MaxRate, now); wait > 0 && h.closing == nil && h.stalled.IsZero() {
		h.wakeAt = now.Add(wait)
		c.resting[h] = struct{}{}
		c.watch(h, false)
	}
	c.finishIfDrained(h, moved)
}

// stall notes that the file cannot be written and drops what waits once it has waited for too long. It returns the number
// of dropped bytes.
func (c *collector) stall(h *held, cause error, now time.Time) int64 {
	if h.stalled.IsZero() {
		h.stalled = now
		c.stalled[h] = struct{}{}
	}
	h.retryAt = now.Add(stallRetry)
	if now.Sub(h.stalled) < c.stallLimit {
		return 0
	}
	n := c.discard(h, reasonOf(cause), now)
	if !h.dropping {
		h.dropping = true
		c.publish(Event{Time: now, Kind: EventDropping, StreamID: h.rec.Stream.ID, Bytes: h.pump.lost,
			Message: fmt.Sprintf("dropping bytes, the log could not be written for %s: %v", c.stallLimit, cause)})
	}
	return n
}

// discard drops what waits in the stream's pipe and returns how many bytes that were.
func (c *collector) discard(h *held, reason string, now time.Time) int64 {
	n, err := h.pump.drop(reason)
	if err != nil {
		c.publish(Event{Time: now, Kind: EventError, StreamID: h.rec.Stream.ID, Message: fmt.Sprintf("drop bytes: %v", err)})
	}
	return n
}

// recovered notes that the file can be written again, or that nobody wants to know any more.
func (c *collector) recovered(h *held) {
	h.stalled, h.retryAt, h.dropping = time.Time{}, time.Time{}, false
	delete(c.stalled, h)
}

// watch turns epoll's reports for the stream's pipe on or off.
func (c *collector) watch(h *held, on bool) {
	if h.pump.fifo < 0 || h.watched == on {
		return
	}
	events := uint32(0)
	if on {
		events = unix.EPOLLIN
	}
	if err := c.readers.modify(h.pump.fifo, events); err == nil {
		h.watched = on
	}
}

// beginClose is called when the exit is known: what is in the pipe now is the rest of the log.
func (c *collector) beginClose(h *held, w waiter, now time.Time) {
	if h.closing != nil {
		h.closing.waiters = append(h.closing.waiters, w)
		return
	}
	h.closing = &closing{waiters: []waiter{w}}
	if h.pump == nil {
		c.finish(h, nil)
		return
	}
	h.closing.dropped = h.pump.dropped
	if h.pump.fifo >= 0 {
		n, err := waiting(h.pump.fifo)
		if err != nil {
			c.finish(h, err)
			return
		}
		h.closing.left = n
	}
	c.serve(h, now)
}

// finishIfDrained ends a closing stream once what was in its pipe is written or dropped.
func (c *collector) finishIfDrained(h *held, gone int64) {
	if h.closing == nil {
		return
	}
	h.closing.left -= gone
	if h.closing.left > 0 {
		if n, err := waiting(h.pump.fifo); err == nil && n > 0 {
			return
		}
	}
	c.fail.hit(placeDrained)
	c.finish(h, nil)
}

// finish lets go of a stream: FIFO, handles, record; then it answers.
func (c *collector) finish(h *held, err error) {
	id := h.rec.Stream.ID
	var dropped int64
	if h.pump != nil {
		dropped = h.pump.dropped - h.closing.dropped
		if lost := h.pump.lost; lost > 0 {
			dropped = max(dropped, lost)
			if h.pump.confess() != nil {
				c.publish(Event{Time: c.now(), Kind: EventDropped, StreamID: id, Bytes: lost,
					Message: fmt.Sprintf("%d bytes dropped: %s; the stream is closed", lost, h.pump.reason)})
			}
		}
		if fifo := h.pump.fifo; fifo >= 0 {
			if sameFIFO(h.rec.Stream.FIFO, fifo) {
				unix.Unlink(h.rec.Stream.FIFO)
			}
			c.readers.remove(fifo)
			delete(c.byFD, fifo)
		}
		h.pump.close()
	} else if h.rec.Stream.FIFO != "" {
		removeFIFO(h.rec.Stream.FIFO)
	}
	c.fail.hit(placeRemoved)
	c.recovered(h)
	delete(c.streams, id)
	delete(c.resting, h)
	if rmErr := os.Remove(c.journalPath(id)); !errors.Is(rmErr, os.ErrNotExist) {
		err = errors.Join(err, rmErr)
	}
	err = errors.Join(err, c.registry.forget(id))
	reply := message{Bytes: dropped}
	switch {
	case err != nil:
		reply.fail(fmt.Errorf("close stream %s: %w", id, err))
	case dropped > 0:
		reply.fail(fmt.Errorf("close stream %s: %d %w", id, dropped, ErrDropped))
	}
	for _, w := range h.closing.waiters {
		if w.session != nil {
			reply.Seq = w.seq
			w.session.send(&reply)
		}
	}
}

// removeFIFO removes path if it is a named pipe.
func removeFIFO(path string) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
		unix.Unlink(path)
	}
}
