package rpc

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/droverhq/drover/core/certs"
)

// authority makes certificates for a test.
type authority struct {
	t    *testing.T
	file string
	ca   *certs.CA
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	p, err := certs.NewCA(certs.CARequest{Valid: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := certs.OpenCA(p)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t, filepath.Join(t.TempDir(), "ca.pem"), ca}
	if err := os.WriteFile(a.file, p.Cert, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// files are those of a new certificate.
func (a *authority) files(valid time.Duration, names ...string) certs.Files {
	a.t.Helper()
	p, err := a.ca.Issue(certs.Request{Role: certs.Server, Names: names, Valid: valid})
	if err != nil {
		a.t.Fatal(err)
	}
	dir := a.t.TempDir()
	f := certs.Files{CA: a.file, Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for path, data := range map[string][]byte{f.Cert: p.Cert, f.Key: p.Key} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return f
}

// security is what an agent of region global with such a certificate uses.
func (a *authority) security(valid time.Duration, names ...string) *Security {
	a.t.Helper()
	s, err := certs.Open(certs.Options{Files: a.files(valid, names...)})
	if err != nil {
		a.t.Fatal(err)
	}
	return &Security{Source: s, Region: "global"}
}

// lines is a log that is read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// port is a server's port that answers on every kind of connection.
type port struct {
	t    *testing.T
	addr string
	log  *lines
}

func newPort(t *testing.T, s *Security) *port {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &port{t: t, addr: ln.Addr().String(), log: &lines{}}
	mux := NewMux(ln, hclog.New(&hclog.LoggerOptions{Output: p.log}))
	mux.Security = s
	r := NewRegistry()
	ServerNode.Handle(r, func(_ context.Context, q *ServerNodeRequest) (*ServerNodeResponse, error) {
		return &ServerNodeResponse{Connected: q.NodeID == "n"}, nil
	})
	gs := r.Server()
	go gs.Serve(mux.GRPC())
	go func() {
		for {
			conn, err := mux.Nodes().Accept()
			if err != nil {
				return
			}
			AcceptSession(conn, gs)
		}
	}()
	for _, ln := range []net.Listener{mux.Raft(), mux.HTTP()} {
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go func() { // an echo
					defer conn.Close()
					b := make([]byte, 16)
					if n, err := conn.Read(b); err == nil {
						conn.Write(b[:n])
					}
				}()
			}
		}()
	}
	go mux.Serve()
	t.Cleanup(func() {
		gs.Stop()
		mux.Close()
	})
	return p
}

// logged waits for a line; the caller may learn of a refusal before it is written.
func (p *port) logged(want string) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(p.log.String(), want); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("the log does not say %q:\n%s", want, p.log)
		}
	}
}

// try opens a connection of a kind and uses it.
func (p *port) try(s *Security, tag byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	call := func(c grpc.ClientConnInterface) error {
		r, err := ServerNode.Call(ctx, c, &ServerNodeRequest{NodeID: "n"})
		if err == nil && !r.Connected {
			err = fmt.Errorf("a wrong answer")
		}
		return err
	}
	switch tag {
	case tagHTTP2:
		pool := Pool{Security: s}
		defer pool.Close()
		c, err := pool.Conn(p.addr)
		if err != nil {
			return err
		}
		return call(c)
	case TagNode:
		local := NewRegistry().Server()
		defer local.Stop()
		sess, err := DialSession(ctx, s, p.addr, local)
		if err != nil {
			return err
		}
		defer sess.Close()
		err = call(sess.Conn())
		if why := sess.Refusal(); err != nil && why != nil {
			return why
		}
		return err
	}
	conn, err := s.Dial(ctx, p.addr, tag)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	b := make([]byte, 16)
	n, err := conn.Read(b)
	if err == nil && string(b[:n]) != "hello" {
		err = fmt.Errorf("got %q", b[:n])
	}
	return err
}

// What each certificate may open, and what both ends say of the rest.
func TestWhoMayOpenWhat(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	server := ours.security(time.Hour, "server.global.drover")
	all := []byte{tagHTTP2, TagNode, TagRaft, TagHTTP}
	asNode := []byte{TagNode, TagHTTP}
	open := &Security{Source: ours.security(time.Hour, "client.global.drover").Source, Region: "global", AnyName: true}
	upgrading := *server
	upgrading.PlainToo = true
	short := ours.security(time.Second, "server.global.drover")
	foreign := theirs.security(time.Hour, "server.global.drover")
	for name, c := range map[string]struct {
		port, caller *Security
		may          []byte
		says, logs   string // about the others
	}{
		"a server":                     {port: server, caller: server, may: all},
		"a server with an older name":  {port: server, caller: ours.security(time.Hour, "server.global.nomad"), may: all},
		"a node":                       {server, ours.security(time.Hour, "client.global.drover"), asNode, "its log says why", "has not the name server.global.drover: it has \\\"client.global.drover\\\""},
		"a node of another region":     {server, ours.security(time.Hour, "client.eu.drover"), nil, "its log says why", "has not the name"},
		"a server of another region":   {server, ours.security(time.Hour, "server.eu.drover"), []byte{TagHTTP}, "its log says why", "has not the name"},
		"a user of the API":            {server, ours.security(time.Hour, "cli.global.drover"), nil, "its log says why", "has not the name"},
		"a server with a node's name":  {port: open, caller: server, says: "has not the name server.global.drover"},
		"names count nowhere":          {port: open, caller: &Security{Source: ours.security(time.Hour, "x").Source, Region: "global", AnyName: true}, may: all},
		"another authority":            {server, foreign, nil, "signed by unknown authority", "remote error: tls"},
		"plain text to TLS":            {server, nil, nil, "wants TLS", "it speaks plain text and this server wants TLS"},
		"TLS to plain text":            {nil, server, nil, "TLS with server", "it speaks TLS and this server does not"},
		"plain text while upgrading":   {port: &upgrading, caller: nil, may: all},
		"TLS while upgrading":          {port: &upgrading, caller: server, may: all},
		"a server that is only a node": {port: ours.security(time.Hour, "client.global.drover"), caller: server, says: "has not the name server.global.drover", logs: "remote error"},
		"an expired certificate":       {server, short, nil, "its log says why", "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.caller == short {
				time.Sleep(time.Until(short.Source.Expires()) + 10*time.Millisecond) // nothing tells of it
			}
			p := newPort(t, c.port)
			for _, tag := range all {
				err := p.try(c.caller, tag)
				if bytes.IndexByte(c.may, tag) >= 0 {
					if err != nil {
						t.Errorf("connection %#x: %v\n%s", tag, err, p.log)
					}
					continue
				}
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("connection %#x: got %v, want %q", tag, err, c.says)
				}
				if c.logs != "" {
					p.logged(c.logs)
				}
			}
		})
	}
}

// A renewed certificate is shown to new connections; those that are open go on, and so does the port when the new files
// are no good.
func TestRenew(t *testing.T) {
	ours := newAuthority(t)
	files := ours.files(time.Hour, "server.global.drover")
	source, err := certs.Open(certs.Options{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	s := &Security{Source: source, Region: "global"}
	p := newPort(t, s)
	old, err := s.Dial(t.Context(), p.addr, TagRaft)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	first := source.Leaf().SerialNumber.String()
	if err := os.WriteFile(files.Cert, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := certs.Read(certs.Options{Files: files}); err == nil {
		t.Error("garbage was taken for a certificate")
	}
	if err := p.try(s, TagRaft); err != nil {
		t.Error(err)
	}
	renewed, err := certs.Read(certs.Options{Files: ours.files(time.Hour, "server.global.drover")})
	if err != nil {
		t.Fatal(err)
	}
	source.Use(renewed)
	if source.Leaf().SerialNumber.String() == first {
		t.Error("the same certificate is in use")
	}
	if _, err := old.Write([]byte("still")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	if n, err := old.Read(b); err != nil || string(b[:n]) != "still" {
		t.Errorf("the open connection: %q, %v", b[:n], err)
	}
	if err := p.try(s, tagHTTP2); err != nil {
		t.Error(err)
	}
}

// Whatever arrives on the port is answered or ended, and the port goes on.
func TestGarbage(t *testing.T) {
	s := newAuthority(t).security(time.Hour, "server.global.drover")
	p := newPort(t, s)
	for _, b := range []string{"\x00", "\xff\xff\xff\xff", "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\xff\xff", "\x16\x03\x01\x00\x05hello", "\x01", "\x02garbage"} {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		conn.Write([]byte(b))
		conn.(*net.TCPConn).CloseWrite()
		for buf := make([]byte, 1024); err == nil; {
			_, err = conn.Read(buf)
		}
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Errorf("%q: the connection stays open", b)
		}
		conn.Close()
	}
	if err := p.try(s, TagNode); err != nil {
		t.Errorf("after the garbage: %v\n%s", err, p.log)
	}
}
