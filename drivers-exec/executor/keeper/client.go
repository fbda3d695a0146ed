package keeper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
	"github.com/droverhq/drover/sdk/failpoint"
)

// Client is one connection to a keeper. It ends with the keeper; whoever uses
// it then connects again and learns what was held from [Client.Held].
type Client struct {
	conn   conn
	keeper proc.ID
	held   []Task
	ended  func(Task)

	mu      sync.Mutex
	seq     uint64
	pending map[uint64]chan answer
	err     error
	done    chan struct{}
}

type answer struct {
	m     *message
	files []int
}

// Dial connects to the keeper of dir. ended is called, from one goroutine and
// in order, for each task that ends while the connection lasts.
func Dial(ctx context.Context, dir string, ended func(Task)) (*Client, error) {
	c := &Client{ended: ended, pending: map[uint64]chan answer{}, done: make(chan struct{})}
	peer, err := dial(ctx, dir, &c.conn)
	if err != nil {
		return nil, fmt.Errorf("connect to keeper: %w", err)
	}
	go c.read()
	a, err := c.call(ctx, &message{Op: opHello, Version: Version, Token: c.conn.token})
	if err == nil && peer != 0 && a.m.Proc.PID != peer {
		err = fmt.Errorf("socket is served by process %d, the keeper says it is %d", peer, a.m.Proc.PID)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to keeper: %w", err)
	}
	c.keeper, c.held = a.m.Proc, a.m.Tasks
	return c, nil
}

// Keeper is the process connected to.
func (c *Client) Keeper() proc.ID { return c.keeper }

// Held are the tasks the keeper held when the connection began.
func (c *Client) Held() []Task { return c.held }

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the connection. Tasks go on; exec sessions begun through this
// client are killed.
func (c *Client) Close() error { return c.conn.Close() }

// Start runs a task and returns it with a pidfd that the caller closes. The
// keeper holds the standard files until the task is released, and note, JSON,
// is kept with its record.
func (c *Client) Start(ctx context.Context, id string, spec *launch.Spec, f launch.Files, note []byte) (Task, int, error) {
	return c.start(ctx, &message{Op: opStart, ID: id, Spec: spec, Note: note}, f)
}

// Session runs a process that belongs to this connection: it is neither
// recorded nor held after its end, and killed if the connection ends first.
func (c *Client) Session(ctx context.Context, id string, spec *launch.Spec, f launch.Files) (Task, int, error) {
	return c.start(ctx, &message{Op: opStart, ID: id, Spec: spec, Session: true}, f)
}

func (c *Client) start(ctx context.Context, m *message, f launch.Files) (Task, int, error) {
	a, err := c.call(ctx, m, filesOf(m.Spec, f)...)
	if err != nil {
		return Task{}, -1, err
	}
	pidfd := -1
	if len(a.files) > 0 {
		pidfd = a.files[0]
		closeAll(a.files[1:])
	}
	return *a.m.Task, pidfd, nil
}

// Adopt hands the keeper a task that an earlier one started, with the pidfd
// the caller has of it or -1. A task already held is returned as it is.
func (c *Client) Adopt(ctx context.Context, t Task, pidfd int) (Task, error) {
	var files []int
	if pidfd >= 0 {
		files = []int{pidfd}
	}
	a, err := c.call(ctx, &message{Op: opAdopt, ID: t.ID, Proc: t.Proc, Started: t.Started, Note: t.Note}, files...)
	if err != nil {
		return Task{}, err
	}
	return *a.m.Task, nil
}

// Release lets the keeper forget a task that has ended. An unknown one is fine.
func (c *Client) Release(ctx context.Context, id string) error {
	_, err := c.call(ctx, &message{Op: opRelease, ID: id})
	return err
}

// Upgrade makes the keeper become another program with the same pid. The
// connection ends when that works.
func (c *Client) Upgrade(ctx context.Context, program string) error {
	_, err := c.call(ctx, &message{Op: opUpgrade, Program: program})
	if errors.Is(err, ErrLost) {
		return nil
	}
	return err
}

// call sends a request and waits for its answer.
func (c *Client) call(ctx context.Context, m *message, files ...int) (answer, error) {
	reply := make(chan answer, 1)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return answer{}, c.err
	}
	c.seq++
	m.Seq = c.seq
	c.pending[m.Seq] = reply
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pending, m.Seq)
		c.mu.Unlock()
	}()
	if err := c.conn.send(m, files...); err != nil {
		return answer{}, fmt.Errorf("%w: %v", ErrLost, err)
	}
	if m.Op == opStart && !m.Session {
		failpoint.Here("StartTask.asked")
	}
	select {
	case a := <-reply:
		if err := a.m.err(); err != nil {
			closeAll(a.files)
			return answer{}, err
		}
		return a, nil
	case <-c.done:
		return answer{}, c.err
	case <-ctx.Done():
		return answer{}, fmt.Errorf("keeper %d did not answer %s: %w", c.keeper.PID, m.Op, ctx.Err())
	}
}

// read hands out answers and events until the connection ends.
func (c *Client) read() {
	for {
		m, files, err := c.conn.receive()
		if err != nil {
			c.mu.Lock()
			c.err = fmt.Errorf("%w: %v", ErrLost, err)
			c.mu.Unlock()
			c.conn.Close()
			close(c.done)
			return
		}
		if m.Seq == 0 {
			closeAll(files)
			if m.Task != nil {
				c.ended(*m.Task)
			}
			continue
		}
		c.mu.Lock()
		reply := c.pending[m.Seq]
		c.mu.Unlock()
		if reply == nil {
			closeAll(files) // the caller gave up
			continue
		}
		reply <- answer{m, files}
	}
}

// connectWithin bounds one attempt to start a keeper and reach it.
const connectWithin = 10 * time.Second

// Connect reaches the keeper of dir and starts one if there is none. command
// is the program with the arguments before the keeper's own; nil means this
// program with [Verb].
func Connect(ctx context.Context, dir string, command []string, ended func(Task)) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	for wait := time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		c, err := Dial(ctx, dir, ended)
		if err == nil {
			return c, nil
		}
		if !absent(err) && !errors.Is(err, ErrLost) {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no keeper in %s: %w (its messages are in %s)", dir, err, logPath(dir))
		}
		if err := spawn(ctx, dir, command); err != nil {
			return nil, err
		}
		if wait > time.Millisecond { // neither ours nor another's answers yet
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
	}
}
