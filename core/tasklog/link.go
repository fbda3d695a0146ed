package tasklog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// errLost: the connection ended before the answer came; whether the request was carried out is not known.
var errLost = errors.New("connection to the log collector was lost")

// byeTimeout is how long Close waits for the collector to have seen it.
const byeTimeout = 2 * time.Second

// link is one connection to a collector.
type link struct {
	conn    net.Conn
	pid     int
	onEvent func(Event)
	lost    chan struct{} // closed when the reader has ended
	err     error         // why; valid once lost is closed

	writing sync.Mutex
	mu      sync.Mutex
	seq     uint64
	pending map[uint64]chan *message
}

// newLink greets the collector at the other end of conn, which it owns.
func newLink(ctx context.Context, conn net.Conn, onEvent func(Event)) (*link, error) {
	l := &link{conn: conn, onEvent: onEvent, lost: make(chan struct{}), pending: map[uint64]chan *message{}}
	go l.read()
	var reply message
	if err := l.request(ctx, &message{Op: opHello, Version: protocolVersion, PID: os.Getpid(), Events: true}, nil, &reply); err != nil {
		l.close()
		return nil, err
	}
	l.pid = reply.PID
	return l, nil
}

func (l *link) read() {
	r := bufio.NewReaderSize(l.conn, 4<<10)
	var err error
	for err == nil {
		var m *message
		if m, err = readMessage(r); err == nil {
			l.deliver(m)
		}
	}
	l.err = err
	l.conn.Close()
	close(l.lost)
}

func (l *link) deliver(m *message) {
	if m.Event != nil {
		l.onEvent(*m.Event)
		return
	}
	l.mu.Lock()
	ch := l.pending[m.Seq]
	delete(l.pending, m.Seq)
	l.mu.Unlock()
	if ch != nil {
		ch <- m // has room for the one answer
	}
}

// request sends m and waits for its answer, which is stored in reply if that is not nil.
func (l *link) request(ctx context.Context, m *message, payload []byte, reply *message) error {
	ch := make(chan *message, 1)
	l.mu.Lock()
	l.seq++
	seq := l.seq
	l.pending[seq] = ch
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.pending, seq)
		l.mu.Unlock()
	}()
	send := *m
	send.Seq = seq
	frame, err := appendFrame(nil, &send, payload)
	if err != nil {
		return err
	}
	if err := l.write(ctx, frame); err != nil {
		return err
	}
	var got *message
	select {
	case got = <-ch:
	case <-ctx.Done():
		return fmt.Errorf("wait for the log collector's answer to %s: %w", m.Op, ctx.Err())
	case <-l.lost:
		select {
		case got = <-ch:
		default:
			return fmt.Errorf("%s: %w: %v", m.Op, errLost, l.err)
		}
	}
	if reply != nil {
		*reply = *got
	}
	return got.err()
}

// write sends one frame. A frame that was cut short by the deadline makes the connection useless, so it is closed then.
func (l *link) write(ctx context.Context, frame []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	deadline, _ := ctx.Deadline()
	l.conn.SetWriteDeadline(deadline)
	if _, err := l.conn.Write(frame); err != nil {
		l.conn.Close()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %v", errLost, err)
	}
	return nil
}

func (l *link) isLost() bool {
	select {
	case <-l.lost:
		return true
	default:
		return false
	}
}

func (l *link) close() {
	l.conn.Close()
	<-l.lost
}

// bye takes leave and waits until the collector has hung up, so that an idle one is gone, or about to be, afterwards.
func (l *link) bye() {
	ctx, cancel := context.WithTimeout(context.Background(), byeTimeout)
	defer cancel()
	l.request(ctx, &message{Op: opBye}, nil, nil)
	l.close()
}

// lostOf is nil, which is never ready, for no link.
func lostOf(l *link) <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.lost
}
