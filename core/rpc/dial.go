package rpc

import (
	"context"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Pool keeps one plain gRPC connection to each server that was called. The zero value is ready, for plain text.
type Pool struct {
	Security *Security // set before the first call

	mu     sync.Mutex
	conns  map[string]*grpc.ClientConn
	closed bool
}

// Conn is for calls to the server at addr; it connects with the first call.
func (p *Pool) Conn(addr string) (grpc.ClientConnInterface, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, net.ErrClosed
	}
	if c := p.conns[addr]; c != nil {
		return c, nil
	}
	opts := append(DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // Security is below gRPC
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return p.Security.Dial(ctx, addr, tagHTTP2) }))
	c, err := grpc.NewClient("passthrough:///"+addr, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to server %s: %w", addr, err)
	}
	if p.conns == nil {
		p.conns = map[string]*grpc.ClientConn{}
	}
	p.conns[addr] = c
	return c, nil
}

// Keep closes the connections to all but these servers.
func (p *Pool) Keep(addrs map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for addr, c := range p.conns {
		if !addrs[addr] {
			c.Close()
			delete(p.conns, addr)
		}
	}
}

// Close ends all connections and the calls on them.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}
