package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// Enforcement is what becomes of a node that is not known and has no valid introduction token.
type Enforcement string

// The enforcements.
const (
	IntroduceNone   Enforcement = "none"   // it joins
	IntroduceWarn   Enforcement = "warn"   // it joins, and the log says so
	IntroduceStrict Enforcement = "strict" // it is refused
)

// Introduction is how machines that the servers do not know become nodes.
type Introduction struct {
	Enforcement Enforcement // "": none
	DefaultTTL  time.Duration
	MaxTTL      time.Duration
}

// Bounds of tokens.
const (
	maxIntroTokens = 10_000
	maxIntroUses   = 10_000
	// keepIntro is how long a token that is of no use any more is remembered, so that a refusal can say why.
	keepIntro = 24 * time.Hour
)

// introPrefix begins every token, which then has its ID, a dot and its secret.
const introPrefix = "drover-intro-"

// IntroTokenRequest asks for a token.
type IntroTokenRequest struct {
	TTL                time.Duration // 0: the default
	Uses               int           // 0: 1
	NodeName, NodePool string        // "" any
}

// CreateIntroToken makes a token that new nodes join with. Its text is not kept anywhere.
func (s *Server) CreateIntroToken(ctx context.Context, q *IntroTokenRequest) (text string, t *model.IntroToken, err error) {
	c := s.cfg.Introduction
	if q.TTL == 0 {
		q.TTL = c.DefaultTTL
	}
	if q.Uses == 0 {
		q.Uses = 1
	}
	switch {
	case q.TTL < time.Second || q.TTL > c.MaxTTL:
		return "", nil, rpc.Errorf(rpc.ErrInvalid, "TTL is %s: it must be between 1s and %s (server.client_introduction.max_identity_ttl)", q.TTL, c.MaxTTL)
	case q.Uses < 1 || q.Uses > maxIntroUses:
		return "", nil, rpc.Errorf(rpc.ErrInvalid, "Uses is %d: it must be between 1 and %d", q.Uses, maxIntroUses)
	case q.NodePool != "" && !poolName.MatchString(q.NodePool):
		return "", nil, rpc.Errorf(rpc.ErrInvalid, "NodePool %q is no name of a node pool", q.NodePool)
	case len(q.NodeName) > 255:
		return "", nil, rpc.Errorf(rpc.ErrInvalid, "NodeName is longer than 255")
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	digest := sha256.Sum256(secret)
	now := time.Now()
	t = &model.IntroToken{
		ID: uuid.NewString()[:13], Digest: digest[:], NodeName: q.NodeName, NodePool: q.NodePool, Uses: q.Uses,
		CreateTime: now.UTC(), ExpireTime: now.Add(q.TTL).UTC(),
	}
	entry := &consensus.IntroTokens{Upsert: []*model.IntroToken{t}}
	kept := 0
	for old := range s.state.Snapshot().IntroTokens() {
		if now.After(old.ExpireTime.Add(keepIntro)) {
			entry.Delete = append(entry.Delete, old.ID)
		} else {
			kept++
		}
	}
	if kept >= maxIntroTokens {
		return "", nil, rpc.Errorf(rpc.ErrExhausted, "there are %d introduction tokens, which is the limit: revoke some, or use one for several nodes", kept)
	}
	index, _, err := s.apply(ctx, entry)
	if err != nil {
		return "", nil, err
	}
	t.CreateIndex, t.ModifyIndex = index, index
	return introPrefix + t.ID + "." + base64.RawURLEncoding.EncodeToString(secret), t, nil
}

// RevokeIntroToken forgets a token; nodes that joined with it stay.
func (s *Server) RevokeIntroToken(ctx context.Context, id string) (*IndexResponse, error) {
	if s.state.Snapshot().IntroToken(id) == nil {
		return nil, rpc.Errorf(rpc.ErrNotFound, "no introduction token has ID %q", id)
	}
	index, _, err := s.apply(ctx, &consensus.IntroTokens{Delete: []string{id}})
	return &IndexResponse{index}, err
}

// introduced finds the token that a node shows. The error says what is wrong with it.
func introduced(snap *state.Snapshot, text string, n *model.Node, now time.Time) (id string, err error) {
	deny := func(format string, args ...any) (string, error) {
		return "", rpc.Errorf(rpc.ErrDenied, format, args...)
	}
	if text == "" {
		return deny("it shows no introduction token; make one with `drover node intro create` and give it to the agent (-client-intro-token)")
	}
	rest, ok := strings.CutPrefix(text, introPrefix)
	id, encoded, dot := strings.Cut(rest, ".")
	secret, err := base64.RawURLEncoding.DecodeString(encoded)
	if !ok || !dot || err != nil {
		return deny("what it shows is no introduction token")
	}
	t := snap.IntroToken(id)
	if t == nil {
		return deny("its introduction token is not known here: it was revoked, expired more than %s ago, or is of another region", keepIntro)
	}
	digest := sha256.Sum256(secret)
	if subtle.ConstantTimeCompare(digest[:], t.Digest) != 1 {
		return deny("its introduction token is forged: it has the ID of another")
	}
	if why := t.Refuses(n, now); why != "" {
		return deny("introduction token %s: %s", id, why)
	}
	return id, nil
}

// introduceNode makes the entry that registers a node: one that is not known yet may have to be introduced.
func (s *Server) introduceNode(snap *state.Snapshot, entry *consensus.RegisterNode, token string) (consensus.Entry, error) {
	n := entry.Node
	level := s.cfg.Introduction.Enforcement
	if snap.Node(n.ID) != nil || !slices.Contains([]Enforcement{IntroduceWarn, IntroduceStrict}, level) {
		return entry, nil
	}
	id, err := introduced(snap, token, n, time.Now())
	switch {
	case err == nil:
		return &consensus.IntroduceNode{Registration: *entry, TokenID: id}, nil
	case level == IntroduceStrict:
		s.logger.Warn("a new node was refused", "node", n.ID, "name", n.Name, "reason", err)
		return nil, rpc.Errorf(rpc.ErrDenied, "node %s (%s) is not known: %v", n.Name, n.ID, err)
	}
	s.logger.Warn("a new node joined without an introduction (server.client_introduction)", "node", n.ID, "name", n.Name, "reason", err)
	return entry, nil
}
