package server

import (
	"net"
	"testing"

	"github.com/droverhq/drover/core/rpc"
)

// TestNodeIsNamedBeforeItsConnectionIsAdded: a session is served from its first moment on, so a node's first call may
// overtake the loop that accepts.
func TestNodeIsNamedBeforeItsConnectionIsAdded(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	s, err := rpc.AcceptSession(here, rpc.NewRegistry().Server())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := newSessions()
	all.name("n1", s)
	if !all.add(s) || all.get("n1") != s {
		t.Fatal("the node has no connection")
	}
	s.Close()
	all.remove(s)
	all.name("n1", s)
	if all.get("n1") != nil {
		t.Error("a connection that is gone counts again")
	}
}
