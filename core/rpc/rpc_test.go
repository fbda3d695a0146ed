package rpc

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/model"
)

// A session carries calls both ways, streams end with EOF, error classes survive, and a handler can find the session
// its call came in on.
func TestSessionBothWays(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	serverSide := NewRegistry()
	sessions := make(chan *Session, 1)
	NodeRegister.Handle(serverSide, func(ctx context.Context, q *NodeRegisterRequest) (*NodeRegisterResponse, error) {
		if q.Node.ID == "bad" {
			return nil, Errorf(ErrDenied, "node bad is refused")
		}
		sessions <- SessionOf(ctx)
		return &NodeRegisterResponse{HeartbeatTTL: 3 * time.Second, Servers: []string{"a:1"}}, nil
	})
	NodeAllocs.Handle(serverSide, func(_ context.Context, q *NodeAllocsRequest, send func(*NodeAllocsPush) error) error {
		for i := range 3 {
			if err := send(&NodeAllocsPush{Index: uint64(i), Allocs: []*model.Allocation{{ID: q.NodeID}}}); err != nil {
				return err
			}
		}
		return nil
	})
	nodeSide := NewRegistry()
	AllocExec.Handle(nodeSide, func(s *BidiServer[ExecInput, ExecOutput]) error {
		for {
			in, err := s.Recv()
			if err == io.EOF {
				return s.Send(&ExecOutput{Exited: true, ExitCode: 7})
			}
			if err != nil {
				return err
			}
			if err := s.Send(&ExecOutput{Stdout: in.Stdin}); err != nil {
				return err
			}
		}
	})

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := NewMux(ln, hclog.NewNullLogger())
	go mux.Serve()
	defer mux.Close()
	gs := serverSide.Server()
	defer gs.Stop()
	go func() {
		for {
			conn, err := mux.Nodes().Accept()
			if err != nil {
				return
			}
			AcceptSession(conn, gs)
		}
	}()

	ns := nodeSide.Server()
	defer ns.Stop()
	sess, err := DialSession(ctx, nil, ln.Addr().String(), ns)
	if err != nil {
		t.Fatal(err)
	}
	defer sess.Close()

	resp, err := NodeRegister.Call(ctx, sess.Conn(), &NodeRegisterRequest{Node: &model.Node{ID: "n1"}})
	if err != nil || resp.HeartbeatTTL != 3*time.Second || len(resp.Servers) != 1 {
		t.Fatalf("register: %+v, %v", resp, err)
	}
	_, err = NodeRegister.Call(ctx, sess.Conn(), &NodeRegisterRequest{Node: &model.Node{ID: "bad"}})
	if !errors.Is(err, ErrDenied) || err.Error() != "node bad is refused" {
		t.Fatalf("class lost: %v", err)
	}

	next, err := NodeAllocs.Call(ctx, sess.Conn(), &NodeAllocsRequest{NodeAuth: NodeAuth{NodeID: "n1"}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		p, err := next()
		if err == io.EOF {
			break
		}
		if err != nil || p.Allocs[0].ID != "n1" {
			t.Fatalf("push %d: %+v %v", n, p, err)
		}
		n++
	}
	if n != 3 {
		t.Fatalf("got %d pushes, want 3", n)
	}

	back := <-sessions
	if back == nil {
		t.Fatal("handler found no session")
	}
	st, err := AllocExec.Call(ctx, back.Conn())
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Send(&ExecInput{Stdin: []byte("hi")}); err != nil {
		t.Fatal(err)
	}
	out, err := st.Recv()
	if err != nil || string(out.Stdout) != "hi" {
		t.Fatalf("echo: %+v %v", out, err)
	}
	st.CloseSend()
	if out, err = st.Recv(); err != nil || !out.Exited || out.ExitCode != 7 {
		t.Fatalf("exit: %+v %v", out, err)
	}
}

// Garbage on the port is closed without harm.
func TestMuxRefusesGarbage(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := NewMux(ln, hclog.NewNullLogger())
	go mux.Serve()
	defer mux.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte{0xff, 1, 2, 3})
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("want the connection closed, got %v", err)
	}
}
