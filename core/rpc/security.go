package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/droverhq/drover/core/certs"
)

// Security is how agents prove to each other who they are, and hide what they say. The nil pointer is plain text.
//
// Under TLS the protocol negotiated in the handshake (ALPN) says what a connection is for, so that what its certificate
// allows is decided before a byte of it is read, and no tag is sent.
type Security struct {
	Source *certs.Source
	Region string

	// AnyName lets every certificate of the authority do everything (tls.verify_server_hostname = false).
	AnyName bool
	// PlainToo lets callers without TLS in, while a fleet is moved to it (tls.rpc_upgrade_mode).
	PlainToo bool
}

// kind is one kind of connection.
type kind struct {
	tag      byte
	protocol string       // under TLS
	open     []certs.Role // who may open it
	abroad   bool         // servers of other regions too
}

var kinds = [...]kind{
	{tagHTTP2, "drover-grpc/1", []certs.Role{certs.Server}, false},
	{TagNode, "drover-node/1", []certs.Role{certs.Client, certs.Server}, false}, // an agent that is both has a server's certificate
	{TagRaft, "drover-raft/1", []certs.Role{certs.Server}, false},
	{TagHTTP, "drover-http/1", []certs.Role{certs.Client, certs.Server}, true},
}

func kindOf(tag byte) *kind {
	for i := range kinds {
		if kinds[i].tag == tag {
			return &kinds[i]
		}
	}
	return nil
}

func kindBy(protocol string) *kind {
	for i := range kinds {
		if kinds[i].protocol == protocol {
			return &kinds[i]
		}
	}
	return nil
}

// mayOpen decides what a caller may do on a server's port.
func (s *Security) mayOpen(protocol string, cert *x509.Certificate) error {
	k := kindBy(protocol)
	if k == nil {
		return errors.New("the caller does not say what the connection is for: it is no agent of Drover")
	}
	if s.AnyName || k.abroad && certs.Require(cert, "", certs.Server) == nil {
		return nil
	}
	if err := certs.Require(cert, s.Region, k.open...); err != nil {
		return fmt.Errorf("the caller may not open a connection for %s: %w", k.protocol, err)
	}
	return nil
}

// InRegion is for calls to servers of another region, whose certificates must name that one.
func (s *Security) InRegion(region string) *Security {
	if s == nil {
		return nil
	}
	other := *s
	other.Region = region
	return &other
}

// IsServer tells whether the caller of a connection is a server, of whatever region. nil is a connection in plain text, where everybody is.
func (s *Security) IsServer(cs *tls.ConnectionState) bool {
	return s == nil || s.AnyName || cs == nil || len(cs.PeerCertificates) > 0 && certs.Require(cs.PeerCertificates[0], "", certs.Server) == nil
}

// listening is the server's end.
func (s *Security) listening() *tls.Config {
	var protocols []string
	for _, k := range kinds {
		protocols = append(protocols, k.protocol)
	}
	return s.Source.Listening(protocols, true, func(cs tls.ConnectionState) error {
		return s.mayOpen(cs.NegotiatedProtocol, cs.PeerCertificates[0])
	})
}

// Dial opens a connection of a kind to a server's port.
func (s *Security) Dial(ctx context.Context, addr string, tag byte) (net.Conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to server %s: %w", addr, err)
	}
	if s != nil {
		return s.handshake(ctx, raw, addr, kindOf(tag))
	}
	if tag != tagHTTP2 { // which the other bytes begin with in any case
		if _, err := raw.Write([]byte{tag}); err != nil {
			raw.Close()
			return nil, fmt.Errorf("open a connection to server %s: %w", addr, err)
		}
	}
	return &watchedConn{Conn: raw, addr: addr, plain: true}, nil
}

func (s *Security) handshake(ctx context.Context, raw net.Conn, addr string, k *kind) (net.Conn, error) {
	conn := tls.Client(raw, s.Source.Dialling(certs.Name(certs.Server, s.Region), k.protocol, func(cert *x509.Certificate) error {
		if s.AnyName {
			return nil
		}
		return certs.Require(cert, s.Region, certs.Server)
	}))
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	err := conn.HandshakeContext(ctx)
	if err == nil && conn.ConnectionState().NegotiatedProtocol != k.protocol {
		err = fmt.Errorf("what listens there does not speak %s: it is no server of Drover", k.protocol)
	}
	if err == nil {
		return &watchedConn{Conn: conn, addr: addr}, nil
	}
	raw.Close()
	var op *net.OpError
	if errors.Is(err, io.EOF) || errors.As(err, &op) && op.Op == "read" && !op.Timeout() {
		return nil, fmt.Errorf("TLS with server %s: it ended the connection at once; it may have no TLS (tls { rpc = true }): %w", addr, err)
	}
	return nil, fmt.Errorf("TLS with server %s: %w", addr, err)
}

// watchedConn is the calling end of a connection. It remembers why the other end refused it, because those who use the
// connection only tell that it ended.
type watchedConn struct {
	net.Conn
	addr  string
	plain bool

	mu    sync.Mutex
	begun bool // the first bytes of the other end were read
	err   error
}

// tlsAlert is the first byte of what a TLS server answers to plain text. Nothing that a server of Drover says first begins
// with it.
const tlsAlert = 0x15

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > 0 && !c.begun {
		c.begun = true
		if c.plain && p[0] == tlsAlert {
			c.err = fmt.Errorf("server %s wants TLS: set the tls block of this agent with rpc = true", c.addr)
			return 0, c.err
		}
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" { // a TLS alert
		err = fmt.Errorf("server %s refused this agent's certificate or what it asked for; its log says why: %w", c.addr, err)
		c.err = err
	}
	return n, err
}

// refusal is why the other end refused the connection, nil if it did not.
func (c *watchedConn) refusal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
