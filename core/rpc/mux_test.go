package rpc

import (
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// busy is a listener for which no descriptor is free at first.
type busy struct {
	net.Listener
	refusals atomic.Int32
}

func (b *busy) Accept() (net.Conn, error) {
	if b.refusals.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return b.Listener.Accept()
}

// TestMuxOutlivesAcceptErrors: a server whose process is short of descriptors for a moment serves its port on.
func TestMuxOutlivesAcceptErrors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	short := &busy{Listener: ln}
	short.refusals.Store(3)
	mux := NewMux(short, hclog.NewNullLogger())
	served := make(chan error, 1)
	go func() { served <- mux.Serve() }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{TagNode}); err != nil {
		t.Fatal(err)
	}
	got := make(chan net.Conn, 1)
	go func() {
		if c, err := mux.Nodes().Accept(); err == nil {
			got <- c
		}
	}()
	select {
	case c := <-got:
		c.Close()
	case err := <-served:
		t.Fatalf("the port is no longer served: %v", err)
	}
	mux.Close()
	if err := <-served; err != nil {
		t.Errorf("after Close: %v", err)
	}
}
