package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

func strict(c *Config) { c.Introduction.Enforcement = IntroduceStrict }

// introduce registers a new node that shows a token.
func introduce(t *testing.T, s *Server, token string, change func(*model.Node)) (*model.Node, error) {
	t.Helper()
	local := rpc.NewRegistry().Server()
	sess, err := rpc.DialSession(deadline(t), nil, s.mux.Addr().String(), local)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Stop()
	defer sess.Close()
	n := testNode(uuid.NewString())
	n.Drivers = nil
	if change != nil {
		change(n)
	}
	_, err = rpc.NodeRegister.Call(deadline(t), sess.Conn(), &rpc.NodeRegisterRequest{Node: n, IntroToken: token})
	return n, err
}

func newToken(t *testing.T, s *Server, q IntroTokenRequest) (string, *model.IntroToken) {
	t.Helper()
	text, token, err := s.CreateIntroToken(deadline(t), &q)
	if err != nil {
		t.Fatal(err)
	}
	return text, token
}

// A new node needs a token that is good for it; whoever has none is told why and is not stored.
func TestIntroduction(t *testing.T) {
	s := start(t, strict)
	good, token := newToken(t, s, IntroTokenRequest{Uses: 2})
	if strings.Contains(string(token.Digest), good) || len(token.Digest) != 32 {
		t.Error("the token is kept as it is")
	}
	revoked, r := newToken(t, s, IntroTokenRequest{})
	if _, err := s.RevokeIntroToken(deadline(t), r.ID); err != nil {
		t.Fatal(err)
	}
	late, l := newToken(t, s, IntroTokenRequest{})
	past := *l
	past.ExpireTime = time.Now().Add(-time.Second)
	if _, _, err := s.apply(deadline(t), &consensus.IntroTokens{Upsert: []*model.IntroToken{&past}}); err != nil {
		t.Fatal(err)
	}
	other, _ := newToken(t, s, IntroTokenRequest{})
	id, _, _ := strings.Cut(good, ".")
	_, secret, _ := strings.Cut(other, ".")
	named, _ := newToken(t, s, IntroTokenRequest{NodeName: "edge-1"})
	pooled, _ := newToken(t, s, IntroTokenRequest{NodePool: "gpu"})
	refuse := func(name, token, want string) {
		t.Helper()
		n, err := introduce(t, s, token, nil)
		if !errors.Is(err, rpc.ErrDenied) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
		if s.state.Snapshot().Node(n.ID) != nil {
			t.Errorf("%s: the node was stored", name)
		}
	}
	refuse("none", "", "shows no introduction token")
	refuse("garbage", "x", "no introduction token")
	refuse("cut off", good[:len(good)-11], "forged")
	refuse("forged", id+"."+secret, "forged")
	refuse("made up", introPrefix+"aaaa."+secret, "is not known here")
	refuse("revoked", revoked, "is not known here")
	refuse("expired", late, "it expired at")
	refuse("another name", named, "it is for a node called edge-1")
	refuse("another pool", pooled, "it is for node pool gpu")

	first, err := introduce(t, s, good, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := introduce(t, s, "", func(n *model.Node) { n.ID, n.SecretID = first.ID, first.SecretID }); err != nil {
		t.Errorf("a known node is introduced once: %v", err)
	}
	if _, err := introduce(t, s, good, nil); err != nil {
		t.Errorf("the second use: %v", err)
	}
	refuse("replayed", good, "used up")
	if _, err := introduce(t, s, named, func(n *model.Node) { n.Name = "edge-1" }); err != nil {
		t.Error(err)
	}
	if _, err := introduce(t, s, pooled, func(n *model.Node) { n.NodePool = "gpu" }); err != nil {
		t.Error(err)
	}
}

// Two nodes that show the last use of a token at the same time do not both join.
func TestIntroductionIsSpentOnce(t *testing.T) {
	s := start(t, strict)
	text, token := newToken(t, s, IntroTokenRequest{})
	const nodes = 8
	results := make(chan error, nodes)
	for range nodes {
		go func() {
			_, err := s.registerNode(context.Background(), &rpc.NodeRegisterRequest{Node: testNode(uuid.NewString()), IntroToken: text})
			results <- err
		}()
	}
	joined := 0
	for range nodes {
		if err := <-results; err == nil {
			joined++
		} else if !errors.Is(err, rpc.ErrDenied) || !strings.Contains(err.Error(), "used up") {
			t.Error(err)
		}
	}
	if joined != 1 {
		t.Errorf("%d nodes joined with one use", joined)
	}
	if left := s.state.Snapshot().IntroToken(token.ID).Uses; left != 0 {
		t.Errorf("%d uses are left", left)
	}
}

// With warn, everybody joins, and a good token is spent all the same; with none, no token is looked at.
func TestIntroductionIsNotAsked(t *testing.T) {
	for level, left := range map[Enforcement]int{IntroduceWarn: 0, IntroduceNone: 1} {
		s := start(t, func(c *Config) { c.Introduction.Enforcement = level })
		text, token := newToken(t, s, IntroTokenRequest{})
		for _, show := range []string{"", "forged", text} {
			if _, err := introduce(t, s, show, nil); err != nil {
				t.Errorf("%s, %q: %v", level, show, err)
			}
		}
		if got := s.state.Snapshot().IntroToken(token.ID).Uses; got != left {
			t.Errorf("%s: %d uses are left, want %d", level, got, left)
		}
	}
}

func TestIntroTokenRefusals(t *testing.T) {
	s := start(t, strict)
	for want, q := range map[string]IntroTokenRequest{
		"between 1s and 30m0s":      {TTL: time.Hour},
		"it must be between 1s":     {TTL: time.Nanosecond},
		"Uses is -1":                {Uses: -1},
		"is no name of a node pool": {NodePool: "a b"},
	} {
		if _, _, err := s.CreateIntroToken(deadline(t), &q); !errors.Is(err, rpc.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", q, err, want)
		}
	}
	if _, err := s.RevokeIntroToken(deadline(t), "nobody"); !errors.Is(err, rpc.ErrNotFound) {
		t.Error(err)
	}
}
