package rpc

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/yamux"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
)

// Session is one connection between a node and a server on which both ends call each other.
type Session struct {
	mux  *yamux.Session
	conn *grpc.ClientConn // calls to the other end
	srv  *grpc.Server     // answers calls of the other end
	addr net.Addr
	dial *watchedConn // the node's end: its own connection
}

func sessionConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.KeepAliveInterval = 15 * time.Second
	c.ConnectionWriteTimeout = 10 * time.Second
	c.LogOutput = io.Discard
	return c
}

// DialSession connects a node to the server at addr and serves local to it.
func DialSession(ctx context.Context, security *Security, addr string, local *grpc.Server) (*Session, error) {
	conn, err := security.Dial(ctx, addr, TagNode)
	if err != nil {
		return nil, err
	}
	mux, err := yamux.Client(conn, sessionConfig())
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("open session with server %s: %w", addr, err)
	}
	s, err := newSession(mux, local)
	if err != nil {
		return nil, err
	}
	s.dial, _ = conn.(*watchedConn)
	return s, nil
}

// Refusal is why the server refused the node's connection, nil if it did not say so. Calls on the session only tell that
// it has ended.
func (s *Session) Refusal() error {
	if s.dial == nil {
		return nil
	}
	return s.dial.refusal()
}

// AcceptSession is the server's end of DialSession: conn comes from Mux.Nodes.
func AcceptSession(conn net.Conn, local *grpc.Server) (*Session, error) {
	mux, err := yamux.Server(conn, sessionConfig())
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("accept session of %s: %w", conn.RemoteAddr(), err)
	}
	return newSession(mux, local)
}

func newSession(mux *yamux.Session, local *grpc.Server) (*Session, error) {
	s := &Session{mux: mux, srv: local, addr: mux.RemoteAddr()}
	opts := append(DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // the session's own connection is what TLS protects
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			return mux.OpenStream()
		}))
	conn, err := grpc.NewClient("passthrough:///session", opts...)
	if err != nil {
		mux.Close()
		return nil, err
	}
	s.conn = conn
	go local.Serve(sessionListener{mux, s})
	return s, nil
}

// Conn makes calls to the other end.
func (s *Session) Conn() grpc.ClientConnInterface { return s.conn }

// Done is closed when the connection is gone.
func (s *Session) Done() <-chan struct{} { return s.mux.CloseChan() }

// RemoteAddr is the other end's network address.
func (s *Session) RemoteAddr() net.Addr { return s.addr }

// Close ends the session and every call on it.
func (s *Session) Close() error {
	s.conn.Close()
	return s.mux.Close()
}

// SessionOf returns the session a call being served arrived on, nil when it came over plain gRPC.
func SessionOf(ctx context.Context) *Session {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	if a, ok := p.Addr.(sessionAddr); ok {
		return a.session
	}
	return nil
}

// sessionAddr lets a handler find the session from its peer.
type sessionAddr struct {
	net.Addr
	session *Session
}

// sessionListener is the accepting end of a session's streams.
type sessionListener struct {
	mux *yamux.Session
	s   *Session
}

func (l sessionListener) Accept() (net.Conn, error) {
	st, err := l.mux.AcceptStream()
	if err != nil {
		return nil, err
	}
	return sessionConn{st, sessionAddr{l.mux.RemoteAddr(), l.s}}, nil
}

func (l sessionListener) Close() error   { return nil } // the session outlives a stopped server
func (l sessionListener) Addr() net.Addr { return l.mux.LocalAddr() }

type sessionConn struct {
	*yamux.Stream
	remote sessionAddr
}

func (c sessionConn) RemoteAddr() net.Addr { return c.remote }
