package node

import (
	"strings"
	"testing"
)

// TestTroubleIsNamed: a node that has no session says what came of the last attempt.
func TestTroubleIsNamed(t *testing.T) {
	r := newRig(t)
	eventually(t, "a session", func() bool { return r.node.Trouble() == nil })
	r.ctl.vanish()
	eventually(t, "the refused connection is named", func() bool {
		err := r.node.Trouble()
		return err != nil && strings.HasPrefix(err.Error(), "not registered with a server: connect to server "+r.ctl.addr+":")
	})
}

func TestTroubleBeforeTheFirstAttempt(t *testing.T) {
	n := &Node{place: newServers([]string{"127.0.0.1:1"})}
	if err := n.Trouble(); err == nil || !strings.Contains(err.Error(), "first time") {
		t.Errorf("before the first attempt: %v", err)
	}
}
