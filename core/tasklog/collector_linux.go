package tasklog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// maxQueuedEvents is how many events are kept for a client that is not there.
const maxQueuedEvents = 256

// quiet is how long nothing must happen before memory that requests left behind is given back to the kernel.
const quiet = 200 * time.Millisecond

// collector is the process: everything it does happens in one loop on one goroutine.
type collector struct {
	options
	registry *registry
	control  *poller // sockets, the wake pipe, and readers, except during a nap
	readers  *poller // the streams' pipes
	pipes    *plumbing
	pace     pace
	napUntil time.Time // zero: awake
	listener int
	wake     [2]int // written to end the loop

	streams map[string]*held
	stalled map[*held]struct{}
	resting map[*held]struct{} // over their rate until their wakeAt
	byFD    map[int]any        // *held or *session
	clients int
	queued  []Event // while no client wants them

	moved     int64
	untidy    bool      // requests left garbage in memory
	idleSince time.Time // the last time a client left
	ending    bool
}

// run serves until ctx is done, it is told to retire, or it has had nothing to do for the idle time.
func run(ctx context.Context, o options) error {
	lock, err := lockState(ctx, o.state)
	if err != nil {
		return err
	}
	defer lock.Close()
	c := &collector{options: o, listener: -1, wake: [2]int{-1, -1}, streams: map[string]*held{}, stalled: map[*held]struct{}{}, resting: map[*held]struct{}{}, byFD: map[int]any{}}
	defer c.release()
	if err := c.prepare(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { unix.Write(c.wake[1], []byte{0}) })
	defer stop()
	if o.ready != nil {
		o.ready()
	}
	return c.loop(ctx)
}

// lockState makes sure that one process at a time moves bytes: it waits for a predecessor that is about to end.
func lockState(ctx context.Context, state string) (*os.File, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("make log collector's state directory: %w", err)
	}
	path := filepath.Join(state, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log collector's lock: %w", err)
	}
	deadline := time.Now().Add(2 * time.Second)
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			f.Close()
			return nil, fmt.Errorf("%w: %s is locked", errAnother, path)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *collector) prepare() error {
	var err error
	if c.control, err = newPoller(); err != nil {
		return err
	}
	if c.readers, err = newPoller(); err != nil {
		return err
	}
	if err := c.control.add(c.readers.fd, unix.EPOLLIN); err != nil {
		return err
	}
	if c.pipes, err = newPlumbing(); err != nil {
		return err
	}
	if err := unix.Pipe2(c.wake[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("make wake pipe: %w", err)
	}
	if err := c.control.add(c.wake[0], unix.EPOLLIN); err != nil {
		return err
	}
	if err := c.restore(); err != nil {
		return err
	}
	if c.listener, err = listenPrivate(c.socket); err != nil {
		return err
	}
	c.idleSince = c.now()
	return c.control.add(c.listener, unix.EPOLLIN)
}

// restore opens every stream that a predecessor held.
func (c *collector) restore() error {
	registry, records, broken, err := openRegistry(c.state)
	if err != nil {
		return err
	}
	c.registry = registry
	for _, err := range broken {
		c.logf("%v", err)
	}
	for _, rec := range records {
		h := &held{rec: rec}
		c.streams[rec.Stream.ID] = h
		if err := c.start(h); err != nil {
			h.broken = err
			c.logf("%v", err)
			c.publish(Event{Time: c.now(), Kind: EventError, StreamID: rec.Stream.ID, Message: err.Error()})
		}
	}
	return nil
}

// journalPath is where the stream's cursor is kept.
func (c *collector) journalPath(id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(c.state, "cursor-"+hex.EncodeToString(sum[:12]))
}

// start opens pipe and files of a stream and waits for bytes.
func (c *collector) start(h *held) error {
	p, dir, err := openPump(h.rec, c.journalPath(h.rec.Stream.ID), c.pipes, c.fail)
	if err != nil {
		return err
	}
	if p.fifo >= 0 {
		if err := c.readers.add(p.fifo, unix.EPOLLIN); err != nil {
			p.close()
			return fmt.Errorf("open stream %s: %w", h.rec.Stream.ID, err)
		}
		c.byFD[p.fifo] = h
	}
	h.rec.Directory = dir
	h.pump, h.broken, h.watched = p, nil, true
	return nil
}

// listenPrivate makes the socket in a directory that nobody else can enter.
func listenPrivate(path string) (int, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return -1, fmt.Errorf("make socket directory: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return -1, fmt.Errorf("examine socket directory %s: %w", dir, err)
	}
	if st.Mode&0o077 != 0 || int(st.Uid) != os.Geteuid() {
		return -1, fmt.Errorf("socket directory %s has mode %04o and owner %d: it must be 0700 and owned by user %d", dir, st.Mode&0o7777, st.Uid, os.Geteuid())
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("make socket: %w", err)
	}
	os.Remove(path) // left by a predecessor: the lock says that none runs
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen on %s (%d bytes, limit 107): %w", path, len(path), err)
	}
	if err := unix.Listen(fd, 64); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen on %s: %w", path, err)
	}
	return fd, nil
}

// release closes what the process holds. FIFOs, files and records stay for the next one; an idle collector leaves no
// socket and no empty directory around it.
func (c *collector) release() {
	if c.listener >= 0 {
		os.Remove(c.socket)
		unix.Close(c.listener)
		if len(c.streams) == 0 {
			os.Remove(filepath.Dir(c.socket)) // an agent's run directory, when nothing else is in it
		}
	}
	for _, x := range c.byFD {
		if s, ok := x.(*session); ok {
			unix.Close(s.fd)
		}
	}
	for _, h := range c.streams {
		if h.pump != nil {
			h.pump.close()
		}
	}
	for _, fd := range c.wake {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if c.pipes != nil {
		c.pipes.close()
	}
	if c.registry != nil {
		c.registry.close()
	}
	for _, p := range []*poller{c.control, c.readers} {
		if p != nil {
			p.close()
		}
	}
}

func (c *collector) now() time.Time { return time.Now() }

func (c *collector) logf(format string, args ...any) {
	fmt.Fprintf(c.log, time.Now().UTC().Format(time.RFC3339)+" "+format+"\n", args...)
}

func (c *collector) loop(ctx context.Context) error {
	for ctx.Err() == nil && !c.ending {
		timeout, idle := c.timeout(c.now())
		if idle && timeout <= 0 {
			return nil
		}
		ready, err := c.control.wait(timeout)
		if err != nil {
			return err
		}
		now := c.now()
		for _, ev := range ready {
			if err := c.dispatch(ev, now); err != nil {
				return err
			}
		}
		c.retryStalled(now)
		c.wakeResting(now)
		if err := c.getUp(now); err != nil {
			return err
		}
		if len(ready) == 0 && c.untidy && c.napUntil.IsZero() {
			debug.FreeOSMemory()
			c.untidy = false
		}
	}
	return nil
}

func (c *collector) dispatch(ev unix.EpollEvent, now time.Time) error {
	fd := int(ev.Fd)
	switch fd {
	case c.readers.fd:
		return c.servePipes(now)
	case c.listener:
		c.accept()
		return nil
	}
	if s, ok := c.byFD[fd].(*session); ok {
		s.ready(ev.Events)
	}
	return nil
}

// servePipes gives every stream with bytes its turn and then lets bytes gather for a while, unless many come.
func (c *collector) servePipes(now time.Time) error {
	ready, err := c.readers.wait(0)
	if err != nil {
		return err
	}
	c.moved = 0
	for _, ev := range ready {
		if h, ok := c.byFD[int(ev.Fd)].(*held); ok {
			c.serve(h, now)
		}
	}
	nap := c.pace.nap(now, c.moved)
	if nap == 0 {
		return nil
	}
	c.napUntil = now.Add(nap)
	return c.control.modify(c.readers.fd, 0)
}

// getUp ends the nap when its time is over.
func (c *collector) getUp(now time.Time) error {
	if c.napUntil.IsZero() || now.Before(c.napUntil) {
		return nil
	}
	c.napUntil = time.Time{}
	return c.control.modify(c.readers.fd, unix.EPOLLIN)
}

// timeout is how long the loop may wait: until the nap is over, the next stalled stream is tried again, memory is tidied
// up, or the process has been idle for long enough.
func (c *collector) timeout(now time.Time) (wait time.Duration, idle bool) {
	if len(c.streams) == 0 && c.clients == 0 {
		return max(0, c.idleSince.Add(c.idle).Sub(now)), true
	}
	wait = -1
	sooner := func(d time.Duration) {
		if d = max(0, d); wait < 0 || d < wait {
			wait = d
		}
	}
	for h := range c.stalled {
		sooner(h.retryAt.Sub(now))
	}
	for h := range c.resting {
		sooner(h.wakeAt.Sub(now))
	}
	if !c.napUntil.IsZero() {
		sooner(c.napUntil.Sub(now))
	}
	if c.untidy {
		sooner(quiet)
	}
	return wait, false
}

// retryStalled tries again where the time has come.
func (c *collector) retryStalled(now time.Time) {
	for h := range c.stalled {
		if !now.Before(h.retryAt) {
			c.serve(h, now)
		}
	}
}

// publish sends an event to the clients that want events, or keeps it for the next one.
func (c *collector) publish(e Event) {
	c.logf("%s %s: %s", e.Kind, e.StreamID, e.Message)
	sent := false
	for _, x := range c.byFD {
		if s, ok := x.(*session); ok && s.events {
			s.send(&message{Event: &e})
			sent = true
		}
	}
	if sent {
		return
	}
	if len(c.queued) == maxQueuedEvents {
		c.queued = c.queued[1:]
	}
	c.queued = append(c.queued, e)
}
