package rpc

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// The first byte of a connection to a server's port.
const (
	tagHTTP2 = 'P' // "PRI * HTTP/2.0": plain gRPC
	TagNode  = 0x01
	TagRaft  = 0x02
	TagHTTP  = 0x03
)

// handshakeTimeout is how long a new connection may take to say what it is.
const handshakeTimeout = 5 * time.Second

// Mux splits a server's listener by the first byte of each connection.
type Mux struct {
	ln     net.Listener
	logger hclog.Logger

	grpc  *queue
	nodes *queue
	raft  *queue
	http  *queue

	mu     sync.Mutex
	wg     sync.WaitGroup
	closed chan struct{}
}

// NewMux takes over ln. Call Serve to start splitting.
func NewMux(ln net.Listener, logger hclog.Logger) *Mux {
	return &Mux{
		ln: ln, logger: logger.Named("rpc"), closed: make(chan struct{}),
		grpc: newQueue(ln.Addr()), nodes: newQueue(ln.Addr()), raft: newQueue(ln.Addr()),
		http: newQueue(ln.Addr()),
	}
}

// GRPC accepts plain gRPC connections.
func (m *Mux) GRPC() net.Listener { return m.grpc }

// Nodes accepts node sessions, the tag byte already read.
func (m *Mux) Nodes() net.Listener { return m.nodes }

// Raft accepts raft connections, the tag byte already read.
func (m *Mux) Raft() net.Listener { return m.raft }

// HTTP accepts connections on which other agents pass requests of the HTTP API on, the tag byte already read.
func (m *Mux) HTTP() net.Listener { return m.http }

// Addr is the address listened on.
func (m *Mux) Addr() net.Addr { return m.ln.Addr() }

// Serve accepts until Close.
func (m *Mux) Serve() error {
	for {
		conn, err := m.ln.Accept()
		if err != nil {
			select {
			case <-m.closed:
				return nil
			default:
			}
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				continue
			}
			return fmt.Errorf("accept on %s: %w", m.ln.Addr(), err)
		}
		m.wg.Add(1)
		go func() {
			defer m.wg.Done()
			m.route(conn)
		}()
	}
}

// Close stops accepting and closes the listeners.
func (m *Mux) Close() error {
	m.mu.Lock()
	select {
	case <-m.closed:
		m.mu.Unlock()
		return nil
	default:
		close(m.closed)
	}
	m.mu.Unlock()
	err := m.ln.Close()
	m.grpc.Close()
	m.nodes.Close()
	m.raft.Close()
	m.http.Close()
	m.wg.Wait()
	return err
}

func (m *Mux) route(conn net.Conn) {
	conn.SetReadDeadline(time.Now().Add(handshakeTimeout))
	br := bufio.NewReaderSize(conn, 16)
	first, err := br.Peek(1)
	if err != nil {
		conn.Close()
		return
	}
	conn.SetReadDeadline(time.Time{})
	var to *queue
	switch first[0] {
	case tagHTTP2:
		to = m.grpc
	case TagNode:
		to = m.nodes
	case TagRaft:
		to = m.raft
	case TagHTTP:
		to = m.http
	default:
		m.logger.Warn("connection refused: unknown first byte", "from", conn.RemoteAddr(), "byte", first[0])
		conn.Close()
		return
	}
	if to != m.grpc {
		br.Discard(1)
	}
	to.push(&peekedConn{Conn: conn, r: br})
}

// peekedConn gives back the bytes that were read to route it.
type peekedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *peekedConn) Read(p []byte) (int, error) {
	if c.r != nil {
		if c.r.Buffered() > 0 {
			return c.r.Read(p)
		}
		c.r = nil
	}
	return c.Conn.Read(p)
}

// queue is a net.Listener fed by the mux.
type queue struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newQueue(addr net.Addr) *queue {
	return &queue{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (q *queue) push(c net.Conn) {
	select {
	case q.conns <- c:
	case <-q.closed:
		c.Close()
	}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

func (q *queue) Addr() net.Addr { return q.addr }
