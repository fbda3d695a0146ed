package tasklog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/windows"
)

// collector is the process. Unlike on Linux each pipe has a goroutine: Windows has no splice, so bytes pass through this
// process' memory, and a collector that is killed loses what it had read and not yet written. What the pipes hold, see
// [vault].
type collector struct {
	options
	registry *registry
	vault    *vault
	end      context.CancelFunc

	mu      sync.Mutex
	streams map[string]*held
	clients map[*session]struct{}
	queued  []Event // while no client wants them
	idle    *time.Timer
}

// maxQueuedEvents is how many events are kept for a client that is not there.
const maxQueuedEvents = 256

// run serves until ctx is done, it is told to retire, or it has had nothing to do for the idle time.
func run(ctx context.Context, o options) error {
	lock, err := lockState(o.state)
	if err != nil {
		return err
	}
	defer lock.Close()
	ctx, end := context.WithCancel(ctx)
	defer end()
	c := &collector{options: o, end: end, streams: map[string]*held{}, clients: map[*session]struct{}{}}
	if err := c.restore(); err != nil {
		return err
	}
	defer c.release()
	listener, err := listenPipe(controlPipe(o.socket), true)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	c.idle = time.AfterFunc(o.idle, c.endIfIdle)
	defer c.idle.Stop()
	if o.ready != nil {
		o.ready()
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept clients: %w", err)
		}
		c.serve(conn)
	}
}

// lockState makes sure that one process at a time moves bytes: it waits for a predecessor that is about to end.
func lockState(state string) (*os.File, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("make log collector's state directory: %w", err)
	}
	path := filepath.Join(state, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log collector's lock: %w", err)
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	deadline := time.Now().Add(2 * time.Second)
	for {
		err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if time.Now().After(deadline) {
			f.Close()
			return nil, fmt.Errorf("%w: %s is locked", errAnother, path)
		}
		time.Sleep(5 * time.Millisecond)
	}
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
	vault, left := openVault(c.state)
	c.vault = vault
	for _, rec := range records {
		h, err := c.start(rec, left[rec.Stream.ID])
		delete(left, rec.Stream.ID)
		if h.broken = err; err != nil {
			c.logf("%v", err)
			c.publish(Event{Time: time.Now(), Kind: EventError, StreamID: rec.Stream.ID, Message: err.Error()})
		}
		c.streams[rec.Stream.ID] = h
	}
	for _, handles := range left { // of no stream: whoever writes there is told
		closeAll(handles)
	}
	return nil
}

func (c *collector) start(rec record, left []windows.Handle) (*held, error) {
	return startHeld(rec, c.journalPath(rec.Stream.ID), c.stallLimit, c.vault, left, c.publish)
}

// journalPath is where the stream's cursor is kept.
func (c *collector) journalPath(id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(c.state, "cursor-"+hex.EncodeToString(sum[:12]))
}

// serve answers one client until it hangs up.
func (c *collector) serve(conn net.Conn) {
	s := &session{c: c, conn: conn}
	c.mu.Lock()
	c.clients[s] = struct{}{}
	c.mu.Unlock()
	go func() {
		s.run()
		c.mu.Lock()
		delete(c.clients, s)
		c.idle.Reset(c.options.idle)
		c.mu.Unlock()
	}()
}

// endIfIdle ends the process when it holds nothing and nobody is there.
func (c *collector) endIfIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.streams) == 0 && len(c.clients) == 0 {
		c.end()
	}
}

// publish gives an event to every client that wants them, or keeps it for the first to come. It may be called under a
// stream's lock, so it must not wait for one.
func (c *collector) publish(e Event) {
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		sent := false
		for s := range c.clients {
			if s.events.Load() {
				go s.send(&message{Event: &e})
				sent = true
			}
		}
		if !sent {
			c.queued = append(c.queued, e)
			c.queued = c.queued[max(0, len(c.queued)-maxQueuedEvents):]
		}
	}()
}

// release closes what the process holds; records and files stay for the next one.
func (c *collector) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.clients {
		s.conn.Close()
	}
	c.vault.leave()
	for _, h := range c.streams {
		h.finish()
	}
	c.registry.close()
}

func (c *collector) logf(format string, args ...any) {
	fmt.Fprintf(c.log, time.Now().UTC().Format(time.RFC3339)+" "+format+"\n", args...)
}
