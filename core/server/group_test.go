package server

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/droverhq/drover/core/rpc"
)

func TestStrangers(t *testing.T) {
	ours := map[raft.ServerID]raft.ServerAddress{"a": "1", "b": "2"}
	for name, c := range map[string]struct {
		answer rpc.ServerGroupResponse
		want   string // beginning of the error
	}{
		"new":                              {rpc.ServerGroupResponse{ID: "c"}, ""},
		"comes back":                       {rpc.ServerGroupResponse{ID: "c", Member: true, Servers: []string{"c", "d", "b"}}, ""},
		"an older release does not tell":   {rpc.ServerGroupResponse{ID: "c", Member: true}, ""},
		"alone, with a state of its own":   {rpc.ServerGroupResponse{ID: "c", Member: true, Servers: []string{"c"}}, "it belongs to another group"},
		"of a group with nobody in common": {rpc.ServerGroupResponse{ID: "c", Member: true, Servers: []string{"c", "d", "e"}}, "it belongs to another group"},
		"somebody else at its address":     {rpc.ServerGroupResponse{ID: "x", Member: true, Servers: []string{"a", "x"}}, "what answers there is server x"},
	} {
		got := ""
		if err := strange("c", &c.answer, ours); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestGroupsThatMeetStayTwo: two servers that each founded a group and come to gossip with each other, be it by a wrong
// address, do not take each other in: one of them would lose its state.
func TestGroupsThatMeetStayTwo(t *testing.T) {
	var both []*Server
	for i := range 2 {
		both = append(both, start(t, func(c *Config) {
			c.Name = "s" + strconv.Itoa(i)
			c.Gossip = &Gossip{Bind: freeGossip(t)}
		}))
	}
	if n, err := both[0].members.Join([]string{both[1].cfg.Gossip.Bind}); n != 1 {
		t.Fatal(err)
	}
	for _, s := range both {
		for late := time.Now().Add(20 * time.Second); len(s.members.Members()) < 2; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("%d known", len(s.members.Members()))
			}
		}
		if !s.mayTakeNone() {
			t.Error("a server of another group may be taken in")
		}
		if members, _, err := s.raft.Servers(); err != nil || len(members) != 1 || !s.raft.IsLeader() {
			t.Errorf("members %v, %v, leads: %t", members, err, s.raft.IsLeader())
		}
	}
}

// mayTakeNone asks about every other server, as the leader does when somebody came.
func (s *Server) mayTakeNone() bool {
	servers, _, _ := s.raft.Servers()
	at := map[raft.ServerID]raft.ServerAddress{}
	for _, m := range servers {
		at[m.ID] = m.Address
	}
	probe := &Server{cfg: s.cfg, ctx: s.ctx, logger: s.logger, refused: map[string]string{}} // the other loop has a map of its own
	defer probe.peers.Close()
	for _, m := range s.regional() {
		if m.ID != s.id && probe.mayTake(m, at) {
			return false
		}
	}
	return true
}

// freeGossip is an address with a TCP and a UDP port that nobody uses.
func freeGossip(t *testing.T) string {
	t.Helper()
	for range 100 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		tcp.Close()
		if err == nil {
			udp.Close()
			return tcp.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}
