package model

import "time"

// IntroToken lets machines that the servers do not know join as nodes. The token itself is handed out once, when it is
// made; what is kept tells it from any other and cannot be used in its place.
type IntroToken struct {
	ID          string
	Digest      []byte `json:",omitempty"` // SHA-256 of the secret part; not shown by the API
	NodeName    string // "" any
	NodePool    string // "" any
	Uses        int    // nodes that may still join with it
	CreateTime  time.Time
	ExpireTime  time.Time
	CreateIndex uint64
	ModifyIndex uint64
}

// Shown is the token as the API shows it.
func (t *IntroToken) Shown() *IntroToken {
	c := *t
	c.Digest = nil
	return &c
}

// Refuses tells why a node may not join with the token at a time, "" if it may.
func (t *IntroToken) Refuses(n *Node, now time.Time) string {
	pool := n.NodePool
	if pool == "" {
		pool = NodePoolDefault
	}
	switch {
	case !now.Before(t.ExpireTime):
		return "it expired at " + t.ExpireTime.UTC().Format(time.RFC3339)
	case t.Uses < 1:
		return "it was used up: another node has joined with it"
	case t.NodeName != "" && t.NodeName != n.Name:
		return "it is for a node called " + t.NodeName
	case t.NodePool != "" && t.NodePool != pool:
		return "it is for node pool " + t.NodePool
	}
	return ""
}
