package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

const (
	dialTimeout     = 10 * time.Second
	registerTimeout = 15 * time.Second
	retryFirst      = 100 * time.Millisecond
	retryMost       = 15 * time.Second
	defaultTTL      = 10 * time.Second
)

// servers is what the node knows of them, and its connection to one.
type servers struct {
	mu       sync.Mutex
	fixed    []string // by configuration
	addrs    []string // those and what the servers said last
	next     int
	conn     grpc.ClientConnInterface // nil while there is none
	ready    chan struct{}            // closed while there is one
	trouble  error                    // why there is none; not used while there is one
	lastBeat time.Time
	ttl      time.Duration
}

func newServers(addrs []string) *servers {
	s := &servers{ready: make(chan struct{}), trouble: errors.New("it connects for the first time")}
	s.set(addrs)
	return s
}

func (s *servers) set(addrs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fixed, s.addrs = slices.Clone(addrs), slices.Clone(addrs)
}

// learn takes the servers that a server named in place of those named before; the configured ones stay.
func (s *servers) learn(addrs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(addrs) == 0 {
		return
	}
	s.addrs = slices.Clone(s.fixed)
	for _, a := range addrs {
		if a != "" && !slices.Contains(s.addrs, a) {
			s.addrs = append(s.addrs, a)
		}
	}
}

// pick takes turns.
func (s *servers) pick() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.addrs) == 0 {
		return "", errors.New("no servers are configured (client.servers)")
	}
	s.next++
	return s.addrs[(s.next-1)%len(s.addrs)], nil
}

func (s *servers) connected(conn grpc.ClientConnInterface) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = conn
	close(s.ready)
}

func (s *servers) disconnected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = nil
	s.ready = make(chan struct{})
}

func (s *servers) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = err
}

func (s *servers) beat(ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastBeat, s.ttl = time.Now(), ttl
}

// connection waits for one.
func (s *servers) connection(ctx context.Context) (grpc.ClientConnInterface, error) {
	for {
		s.mu.Lock()
		conn, ready := s.conn, s.ready
		s.mu.Unlock()
		if conn != nil {
			return conn, nil
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// heard is when a server last answered; zero: never.
func (s *servers) heard() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastBeat
}

// Servers are the addresses of all servers that the node knows.
func (n *Node) Servers() []string {
	known, _, _ := n.place.figures()
	return known
}

// Trouble is why the node has no session with a server, nil while it has one.
func (n *Node) Trouble() error {
	n.place.mu.Lock()
	defer n.place.mu.Unlock()
	if n.place.conn != nil {
		return nil
	}
	return fmt.Errorf("not registered with a server: %w", n.place.trouble)
}

func (s *servers) figures() (known []string, last string, ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last = "never"
	if !s.lastBeat.IsZero() {
		last = time.Since(s.lastBeat).Round(time.Millisecond).String()
	}
	return slices.Clone(s.addrs), last, s.ttl
}

// connect keeps a session with one of the servers until ctx ends.
func (n *Node) connect(ctx context.Context) {
	settle, cancel := context.WithTimeout(ctx, settleWait)
	if err := n.cfg.Plugins.Settled(settle); err != nil && ctx.Err() == nil {
		n.logger.Warn("some plugins are not ready yet, the node registers without them", "error", err)
	}
	cancel()
	n.self.refresh()
	delay := retryFirst
	for ctx.Err() == nil {
		begun := time.Now()
		err := n.session(ctx)
		if ctx.Err() != nil {
			return
		}
		n.place.failed(err)
		if time.Since(begun) > retryMost {
			delay = retryFirst
		}
		n.logger.Warn("no session with a server", "error", err, "retry_in", delay)
		pause(ctx, delay+time.Duration(rand.Int64N(int64(delay)/4+1)))
		delay = min(2*delay, retryMost)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// session registers with a server and serves it until something fails.
func (n *Node) session(ctx context.Context) error {
	addr, err := n.place.pick()
	if err != nil {
		return err
	}
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	sess, err := rpc.DialSession(dial, n.cfg.Security, addr, n.served)
	cancel()
	if err != nil {
		return err
	}
	defer sess.Close()
	ctx, cancel = context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-sess.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	ttl, err := n.register(ctx, sess.Conn())
	if err != nil {
		if why := sess.Refusal(); why != nil {
			return why
		}
		return fmt.Errorf("register with server %s: %w", addr, err)
	}
	n.logger.Info("registered", "server", addr, "heartbeat_ttl", ttl)
	n.place.connected(sess.Conn())
	defer n.place.disconnected()

	var wg sync.WaitGroup
	errs := make(chan error, 2)
	wg.Go(func() { errs <- n.heartbeats(ctx, sess.Conn(), ttl) })
	wg.Go(func() { errs <- n.receive(ctx, sess.Conn()) })
	err = <-errs
	cancel()
	wg.Wait()
	return fmt.Errorf("session with server %s: %w", addr, err)
}

func (n *Node) auth() rpc.NodeAuth { return rpc.NodeAuth{NodeID: n.who.id, SecretID: n.who.secret} }

func (n *Node) register(ctx context.Context, conn grpc.ClientConnInterface) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	info, schemas := n.self.forServers()
	info.SecretID = n.who.secret
	resp, err := rpc.NodeRegister.Call(ctx, conn, &rpc.NodeRegisterRequest{Node: info, Schemas: schemas, IntroToken: n.introToken()})
	if err != nil {
		return 0, err
	}
	n.place.learn(resp.Servers)
	ttl := resp.HeartbeatTTL
	if ttl <= 0 {
		ttl = defaultTTL
	}
	n.place.beat(ttl)
	return ttl, nil
}

// heartbeats keeps the node ready, and registers it again when what it offers has changed.
func (n *Node) heartbeats(ctx context.Context, conn grpc.ClientConnInterface, ttl time.Duration) error {
	timer := time.NewTimer(interval(ttl))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.self.changed:
			next, err := n.register(ctx, conn)
			if err != nil {
				return fmt.Errorf("register again: %w", err)
			}
			ttl = next
			continue
		case <-timer.C:
		}
		call, cancel := context.WithTimeout(ctx, max(ttl/2, time.Second))
		resp, err := rpc.NodeHeartbeat.Call(call, conn, &rpc.NodeHeartbeatRequest{NodeAuth: n.auth(), Status: model.NodeStatusReady})
		cancel()
		if err != nil {
			return fmt.Errorf("heartbeat: %w", err)
		}
		if resp.HeartbeatTTL > 0 {
			ttl = resp.HeartbeatTTL
		}
		n.place.beat(ttl)
		n.place.learn(resp.Servers)
		timer.Reset(interval(ttl))
	}
}

// interval leaves time for a retry on another server.
func interval(ttl time.Duration) time.Duration { return ttl * 2 / 3 }

// receive takes the node's allocations as they change.
func (n *Node) receive(ctx context.Context, conn grpc.ClientConnInterface) error {
	for {
		err := n.receiveStream(ctx, conn)
		if !errors.Is(err, errMissingJob) {
			return err
		}
	}
}

func (n *Node) receiveStream(ctx context.Context, conn grpc.ClientConnInterface) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next, err := rpc.NodeAllocs.Call(ctx, conn, &rpc.NodeAllocsRequest{NodeAuth: n.auth()})
	if err != nil {
		return fmt.Errorf("receive allocations: %w", err)
	}
	known := jobs{}
	for {
		push, err := next()
		if err == io.EOF {
			return errors.New("receive allocations: the server ended the stream")
		}
		if err != nil {
			return fmt.Errorf("receive allocations: %w", err)
		}
		if err := n.apply(push, known); err != nil {
			return err
		}
	}
}

// watchContact ends allocations that their job wants ended when the servers have not been heard for long enough
// (disconnect.stop_on_client_after).
func (n *Node) watchContact(ctx context.Context) {
	began := time.Now()
	for ctx.Err() == nil {
		heard := n.place.heard()
		if heard.IsZero() {
			heard = began
		}
		wake := time.Minute
		for _, r := range n.runnersNow() {
			a := r.Alloc()
			d := a.Job.Group(a.TaskGroup).Disconnect
			if d == nil || d.StopOnClientAfter <= 0 || r.IsOver() {
				continue
			}
			if left := time.Until(heard.Add(d.StopOnClientAfter)); left > 0 {
				wake = min(wake, max(left, 100*time.Millisecond))
			} else {
				n.logger.Warn("servers not heard for too long, stopping the allocation", "alloc", a.ID, "stop_on_client_after", d.StopOnClientAfter)
				r.Kill("Stopped: no server was heard for " + d.StopOnClientAfter.String() + " (stop_on_client_after)")
			}
		}
		t := time.NewTimer(wake)
		select {
		case <-t.C:
		case <-n.arrived:
		case <-ctx.Done():
		}
		t.Stop()
	}
}
