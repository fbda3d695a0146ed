package tasklog

import (
	"fmt"
	"maps"
	"os"
	"slices"
)

// handle answers one request. Only close may be answered later.
func (c *collector) handle(s *session, m *message, payload []byte) {
	c.untidy = true
	reply := message{Seq: m.Seq}
	var err error
	switch m.Op {
	case opHello:
		err = c.hello(s, m, &reply)
	case opOpen:
		err = c.open(m.Stream)
	case opUpdate:
		err = c.update(m.ID, m.Limits)
	case opClose:
		if h := c.streams[m.ID]; h != nil {
			c.beginClose(h, waiter{session: s, seq: m.Seq}, c.now())
			return
		}
	case opList:
		for _, id := range slices.Sorted(maps.Keys(c.streams)) {
			reply.Streams = append(reply.Streams, c.streams[id].info())
		}
	case opAppend:
		err = c.append(m.ID, payload, m.Cursor)
	case opCursor:
		reply.Cursor, err = c.cursor(m.ID)
	case opRetire:
		reply.PID = os.Getpid()
		c.ending = true
	case opBye:
		defer func() {
			s.close()
			if c.clients == 0 && len(c.streams) == 0 {
				c.ending = true
			}
		}()
	default:
		err = fmt.Errorf("%w: unknown operation %q", ErrInvalid, m.Op)
	}
	if err != nil {
		reply.fail(err)
	}
	s.send(&reply)
}

func (c *collector) hello(s *session, m, reply *message) error {
	reply.Version, reply.PID = protocolVersion, os.Getpid()
	if m.Version != protocolVersion {
		return fmt.Errorf("%w: client %d, collector %d", ErrVersion, m.Version, protocolVersion)
	}
	s.events = m.Events
	if s.events {
		for _, e := range c.queued {
			s.send(&message{Event: &e})
		}
		c.queued = nil
	}
	return nil
}

// open makes a stream or confirms the one that is there, with the new limits.
func (c *collector) open(s *Stream) error {
	if s == nil {
		return fmt.Errorf("%w: open without stream", ErrInvalid)
	}
	want := s.withDefaults()
	if err := want.validate(); err != nil {
		return fmt.Errorf("open stream %s: %w", want.ID, err)
	}
	h := c.streams[want.ID]
	if h == nil {
		return c.openNew(want)
	}
	if h.closing != nil {
		return fmt.Errorf("open stream %s: %w: it is being closed", want.ID, ErrConflict)
	}
	if !h.rec.Stream.samePlace(want) {
		return fmt.Errorf("open stream %s: %w: fifo %q, files %s/%s.*", want.ID, ErrConflict, h.rec.Stream.FIFO, h.rec.Stream.Dir, h.rec.Stream.Prefix)
	}
	if h.pump != nil && h.pump.fifo >= 0 && !sameFIFO(want.FIFO, h.pump.fifo) {
		c.letGo(h) // someone removed the FIFO: its writers are gone or will never be heard
	}
	if h.pump == nil {
		if err := c.start(h); err != nil {
			return err
		}
	}
	return c.limit(h, Limits{want.MaxFiles, want.MaxFileSize})
}

// letGo closes a stream's handles after moving what is left in a pipe that no longer has a name.
func (c *collector) letGo(h *held) {
	h.pump.run(turnBytes, true)
	c.readers.remove(h.pump.fifo)
	delete(c.byFD, h.pump.fifo)
	h.pump.close()
	h.pump = nil
	c.recovered(h)
}

func (c *collector) openNew(s Stream) error {
	for _, h := range c.streams {
		if h.rec.Stream.Dir == s.Dir && h.rec.Stream.Prefix == s.Prefix || s.FIFO != "" && h.rec.Stream.FIFO == s.FIFO {
			return fmt.Errorf("open stream %s: %w: stream %s uses these paths", s.ID, ErrConflict, h.rec.Stream.ID)
		}
	}
	h := &held{rec: record{Stream: s}}
	if err := c.start(h); err != nil {
		return err
	}
	c.streams[s.ID] = h
	if err := c.registry.save(h.rec); err != nil {
		h.closing = &closing{}
		c.finish(h, nil)
		return err
	}
	return nil
}

func (c *collector) update(id string, l *Limits) error {
	h := c.streams[id]
	if h == nil {
		return fmt.Errorf("update stream %s: %w", id, ErrNotFound)
	}
	if l == nil {
		return fmt.Errorf("update stream %s: %w: no limits", id, ErrInvalid)
	}
	want := l.withDefaults()
	if err := want.validate(); err != nil {
		return fmt.Errorf("update stream %s: %w", id, err)
	}
	return c.limit(h, want)
}

func (c *collector) limit(h *held, l Limits) error {
	if (Limits{h.rec.Stream.MaxFiles, h.rec.Stream.MaxFileSize}) == l {
		return nil
	}
	rec := h.rec
	rec.Stream.MaxFiles, rec.Stream.MaxFileSize = l.MaxFiles, l.MaxFileSize
	if err := c.registry.save(rec); err != nil {
		return err
	}
	h.rec = rec
	if h.pump != nil {
		h.pump.conf = rec.Stream
		h.pump.out.prune(l.MaxFiles)
	}
	return nil
}

// live returns a stream that can be appended to.
func (c *collector) live(id string) (*held, error) {
	h := c.streams[id]
	switch {
	case h == nil || h.closing != nil:
		return nil, fmt.Errorf("stream %s: %w", id, ErrNotFound)
	case h.pump == nil:
		return nil, h.broken
	}
	return h, nil
}

func (c *collector) append(id string, data []byte, cursor string) error {
	h, err := c.live(id)
	if err != nil {
		return fmt.Errorf("append: %w", err)
	}
	if len(cursor) > maxCursor {
		return fmt.Errorf("append to stream %s: %w: cursor has %d bytes, limit %d", id, ErrInvalid, len(cursor), maxCursor)
	}
	if err := h.pump.append(data, cursor); err != nil {
		if isDiskFull(err) {
			return fmt.Errorf("append to stream %s: %w: %v", id, ErrDiskFull, err)
		}
		return fmt.Errorf("append to stream %s: %w", id, err)
	}
	return nil
}

func (c *collector) cursor(id string) (string, error) {
	h, err := c.live(id)
	if err != nil {
		return "", fmt.Errorf("cursor: %w", err)
	}
	return h.pump.journal.last.Cursor, nil
}
