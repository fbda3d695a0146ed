package rpc

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
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

// What TLS sends first, and the alert "unexpected message".
const (
	tlsHandshake    = 0x16
	alertUnexpected = 10
)

// refusalTimeout is how long a refused caller may take to read that.
const refusalTimeout = time.Second

// handshakeTimeout is how long a new connection may take to say what it is.
const handshakeTimeout = 5 * time.Second

// acceptPause is how long nothing is accepted after an error: the reason needs time to go.
const acceptPause = 50 * time.Millisecond

// Mux splits a server's listener by what each connection is for.
type Mux struct {
	// Security is set before Serve; nil: plain text.
	Security *Security

	ln        net.Listener
	logger    hclog.Logger
	listening *tls.Config

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
	if m.Security != nil {
		m.listening = m.Security.listening()
	}
	for {
		conn, err := m.ln.Accept()
		if err != nil {
			select {
			case <-m.closed:
				return nil
			default:
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("accept on %s: %w", m.ln.Addr(), err)
			}
			// Everything else passes: no descriptor is free, or a connection ended before it was taken.
			m.logger.Warn("no connection taken for a moment", "address", m.ln.Addr(), "error", err)
			select {
			case <-time.After(acceptPause):
			case <-m.closed:
				return nil
			}
			continue
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
	peeked := &peekedConn{Conn: conn, r: br}
	switch {
	case first[0] == tlsHandshake && m.Security != nil:
		m.routeTLS(peeked)
	case first[0] == tlsHandshake:
		m.refuse(conn, "it speaks TLS and this server does not: set the tls block here with rpc = true, or not there", nil)
	case kindOf(first[0]) == nil:
		m.refuse(conn, fmt.Sprintf("unknown first byte %#x: it is no agent of Drover", first[0]), nil)
	case m.Security != nil && !m.Security.PlainToo:
		m.refuse(conn, "it speaks plain text and this server wants TLS: set the tls block of that agent with rpc = true",
			[]byte{tlsAlert, 3, 3, 0, 2, 2, alertUnexpected})
	default:
		to := m.queue(first[0])
		if to != m.grpc {
			br.Discard(1)
		}
		to.push(peeked)
	}
}

// routeTLS sends a connection where the protocol of its handshake says.
func (m *Mux) routeTLS(raw net.Conn) {
	conn := tls.Server(raw, m.listening)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		m.refuse(raw, err.Error(), nil) // which the caller was told by an alert
		return
	}
	m.queue(kindBy(conn.ConnectionState().NegotiatedProtocol).tag).push(securedConn{conn})
}

func (m *Mux) queue(tag byte) *queue {
	switch tag {
	case TagNode:
		return m.nodes
	case TagRaft:
		return m.raft
	case TagHTTP:
		return m.http
	}
	return m.grpc
}

// refuse ends a connection that is in the wrong place. last is said before the end: an alert, which agents without TLS
// know.
func (m *Mux) refuse(conn net.Conn, reason string, last []byte) {
	defer conn.Close()
	m.logger.Warn("connection refused", "from", conn.RemoteAddr(), "reason", reason)
	conn.SetDeadline(time.Now().Add(refusalTimeout))
	if _, err := conn.Write(last); err != nil {
		return
	}
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
	io.CopyN(io.Discard, conn, 64<<10) // what is unread would reset the connection, which overtakes what was said
}

// securedConn hides from net/http that it is TLS: that closes connections whose protocol it does not know.
type securedConn struct{ net.Conn }

// StateOf is how a connection that a Mux accepted is secured, nil if it is not.
func StateOf(conn net.Conn) *tls.ConnectionState {
	if s, ok := conn.(securedConn); ok {
		state := s.Conn.(*tls.Conn).ConnectionState()
		return &state
	}
	return nil
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

// CloseWrite ends what is sent and goes on reading.
func (c *peekedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
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
