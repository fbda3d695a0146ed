package tasklog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Config says where the node's collector is and how to launch it.
type Config struct {
	// SocketPath is absolute, at most 107 bytes, in a directory of mode 0700 that is made if missing.
	SocketPath string
	// StateDir remembers the open streams; absolute, made if missing.
	StateDir string
	// Executable that has the collector's verb; empty: the running one.
	Executable string
	// Args begin the collector's command line, "-socket PATH -state DIR" follow; nil: {"logs"}.
	Args []string
	// Env is the collector's environment; nothing is inherited.
	Env []string
	// Idle is how long a collector without streams and clients stays; 0: 30 s.
	Idle time.Duration
	// Logger receives launches, deaths and events; nil: nobody.
	Logger hclog.Logger
}

// eventBuffer is how many events wait for a reader before the oldest is dropped.
const eventBuffer = 256

// Client is the agent's side of the collector. It relaunches a collector that died, tells the new one which streams are
// open and repeats what was not answered; callers notice nothing but a delay. All methods may be called at the same time.
type Client struct {
	cfg    Config
	log    hclog.Logger
	cancel context.CancelFunc
	done   chan struct{} // closed when the supervisor has ended

	mu      sync.Mutex
	link    *link         // nil while there is none
	changed chan struct{} // closed and replaced when link changes
	streams map[string]*opened
	closed  bool

	events chan Event

	launches atomic.Int64 // collectors launched, for tests
}

// opened is a stream that this client opened. hold keeps the pipe, and with it the bytes in it, while no collector does.
type opened struct {
	stream  Stream
	release func()
}

// Ensure connects to the node's collector, launching one if none answers, and keeps it alive until Close.
func Ensure(ctx context.Context, cfg Config) (*Client, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	if len(cfg.SocketPath) > 107 {
		return nil, fmt.Errorf("log collector's socket path has %d bytes, limit 107: %s", len(cfg.SocketPath), cfg.SocketPath)
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Args == nil {
		cfg.Args = []string{"logs"}
	}
	if cfg.Idle == 0 {
		cfg.Idle = defaultIdle
	}
	c := &Client{
		cfg:     cfg,
		log:     cfg.Logger,
		done:    make(chan struct{}),
		changed: make(chan struct{}),
		streams: map[string]*opened{},
		events:  make(chan Event, eventBuffer),
	}
	first, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	c.setLink(first)
	life, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go c.supervise(life, first)
	return c, nil
}

// supervise replaces a lost collector until the client is closed. The kernel closes a process's sockets when it dies, so
// the end of the connection tells of a death as fast as a pidfd would, and of a collector that dropped us besides.
func (c *Client) supervise(ctx context.Context, l *link) {
	defer close(c.done)
	for {
		select {
		case <-ctx.Done():
			l.bye()
			return
		case <-l.lost:
		}
		c.setLink(nil)
		began := time.Now()
		c.log.Warn("lost the log collector", "pid", l.pid, "error", l.err)
		next := c.reconnect(ctx)
		if next == nil {
			return
		}
		c.setLink(next)
		c.emit(Event{Time: time.Now(), Kind: EventRelaunched, Message: fmt.Sprintf("log collector %d was lost, %d goes on after %s",
			l.pid, next.pid, time.Since(began).Round(time.Millisecond))})
		c.log.Info("log collector goes on", "pid", next.pid, "after", time.Since(began))
		l = next
	}
}

// reconnect tries for ever; nil when ctx is done.
func (c *Client) reconnect(ctx context.Context) *link {
	wait := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		l, err := c.connect(ctx)
		if err == nil {
			if err = c.replay(ctx, l); err == nil {
				return l
			}
			l.close()
		}
		wait = min(max(2*wait, 50*time.Millisecond), 2*time.Second)
		if ctx.Err() == nil {
			c.log.Error("cannot get a log collector, trying again", "in", wait, "error", err)
		}
	}
}

// replay opens in a new collector what was open in the old one. It remembers all of it itself, unless its state directory
// was removed.
func (c *Client) replay(ctx context.Context, l *link) error {
	c.mu.Lock()
	all := slices.Collect(maps.Values(c.streams))
	c.mu.Unlock()
	for _, o := range all {
		err := l.request(ctx, &message{Op: opOpen, Stream: &o.stream}, nil, nil)
		if errors.Is(err, errLost) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			c.emit(Event{Time: time.Now(), Kind: EventError, StreamID: o.stream.ID, Message: err.Error()})
		}
	}
	return nil
}

func (c *Client) setLink(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
	close(c.changed)
	c.changed = make(chan struct{})
}

// do sends a request, as often as it takes to get an answer if again is set.
func (c *Client) do(ctx context.Context, m *message, payload []byte, reply *message, again bool) error {
	for {
		l, err := c.current(ctx)
		if err != nil {
			return err
		}
		err = l.request(ctx, m, payload, reply)
		if !errors.Is(err, errLost) || !again {
			return err
		}
		select {
		case <-l.lost:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// current waits until there is a connection.
func (c *Client) current(ctx context.Context) (*link, error) {
	for {
		c.mu.Lock()
		l, changed, closed := c.link, c.changed, c.closed
		c.mu.Unlock()
		if closed {
			return nil, ErrClosed
		}
		if l != nil && !l.isLost() {
			return l, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the log collector: %w", ctx.Err())
		case <-c.done:
			return nil, ErrClosed
		case <-changed:
		case <-lostOf(l):
			// the supervisor will change the link
			select {
			case <-ctx.Done():
				return nil, fmt.Errorf("wait for the log collector: %w", ctx.Err())
			case <-c.done:
				return nil, ErrClosed
			case <-changed:
			}
		}
	}
}

// OpenStream makes the FIFO and starts reading it; when it returns, a writer can open the FIFO without waiting. Opening
// again with the same paths confirms the stream and sets its limits; with other paths it is ErrConflict.
func (c *Client) OpenStream(ctx context.Context, s Stream) error {
	s = s.withDefaults()
	if err := s.validate(); err != nil {
		return fmt.Errorf("open stream %s: %w", s.ID, err)
	}
	if err := c.do(ctx, &message{Op: opOpen, Stream: &s}, nil, nil, true); err != nil {
		return err
	}
	release := func() {}
	if s.FIFO != "" {
		var err error
		if release, err = holdFIFO(s.FIFO); err != nil {
			return fmt.Errorf("open stream %s: %w", s.ID, err)
		}
	}
	c.mu.Lock()
	before := c.streams[s.ID]
	c.streams[s.ID] = &opened{stream: s, release: release}
	c.mu.Unlock()
	if before != nil {
		before.release()
	}
	return nil
}

// CloseStream is called when the exit of the last writer is known. The collector moves what is in the pipe, closes and
// removes the FIFO and forgets the stream; when CloseStream returns the last byte is in the file (in the kernel's cache,
// not flushed to the device). ErrDropped: the file could not be written for 5 s and bytes are missing; the stream is
// closed all the same. An unknown id is no error.
func (c *Client) CloseStream(ctx context.Context, id string) error {
	err := c.do(ctx, &message{Op: opClose, ID: id}, nil, nil, true)
	if err == nil || errors.Is(err, ErrDropped) {
		c.mu.Lock()
		o := c.streams[id]
		delete(c.streams, id)
		c.mu.Unlock()
		if o != nil {
			o.release()
		}
	}
	return err
}

// Update changes the limits of an open stream; files beyond MaxFiles are removed at once. ErrNotFound.
func (c *Client) Update(ctx context.Context, id string, l Limits) error {
	if err := c.do(ctx, &message{Op: opUpdate, ID: id, Limits: &l}, nil, nil, true); err != nil {
		return err
	}
	l = l.withDefaults()
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.streams[id]; o != nil {
		o.stream.MaxFiles, o.stream.MaxFileSize = l.MaxFiles, l.MaxFileSize
	}
	return nil
}

// List returns every stream that the collector holds, by id, whoever opened it.
func (c *Client) List(ctx context.Context) ([]StreamInfo, error) {
	var reply message
	err := c.do(ctx, &message{Op: opList}, nil, &reply, true)
	return reply.Streams, err
}

// Append adds up to 256 KiB to a stream and stores cursor (at most 1 KiB) with it as one. A cursor that is not empty and
// equal to the stored one marks a repeat, which is not written again; that is why Append with a cursor survives the
// collector's death, while without one it fails when the answer is lost. ErrDiskFull: nothing was stored, try again
// later.
func (c *Client) Append(ctx context.Context, id string, data []byte, cursor string) error {
	if len(data) > maxAppend || len(cursor) > maxCursor {
		return fmt.Errorf("append to stream %s: %w: %d bytes (limit %d), cursor of %d bytes (limit %d)",
			id, ErrInvalid, len(data), maxAppend, len(cursor), maxCursor)
	}
	return c.do(ctx, &message{Op: opAppend, ID: id, Cursor: cursor}, data, nil, cursor != "")
}

// Cursor returns what the last Append stored; empty before the first.
func (c *Client) Cursor(ctx context.Context, id string) (string, error) {
	var reply message
	err := c.do(ctx, &message{Op: opCursor, ID: id}, nil, &reply, true)
	return reply.Cursor, err
}

// Events delivers what happens to streams and collector; the channel is closed by Close. The oldest events are dropped
// when nobody reads.
func (c *Client) Events() <-chan Event { return c.events }

func (c *Client) emit(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	for {
		select {
		case c.events <- e:
			return
		default:
		}
		select {
		case <-c.events:
		default:
		}
	}
}

// PID is the collector's process id, 0 while there is none.
func (c *Client) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil || c.link.isLost() {
		return 0
	}
	return c.link.pid
}

// Close disconnects. The collector lives on as long as it holds streams; without any, and without another client, it ends
// at once.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	close(c.events)
	all := slices.Collect(maps.Values(c.streams))
	clear(c.streams)
	c.mu.Unlock()
	c.cancel()
	<-c.done
	for _, o := range all {
		o.release()
	}
	return nil
}
