package server

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

// TestLeadershipIsTakenUpLater: raft tells only once that this server leads; when the log does not move at that moment the
// server must not stay a leader that does nothing.
func TestLeadershipIsTakenUpLater(t *testing.T) {
	cfg := DefaultConfig()
	cfg.RPCAddr = "127.0.0.1:0"
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown() })
	real := s.barrier
	var tries atomic.Int32
	s.barrier = func(ctx context.Context) error {
		if tries.Add(1) == 1 {
			return errors.New("the disk stands still")
		}
		return real(ctx)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitLeader(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if n := tries.Load(); n != 2 {
		t.Errorf("%d attempts, want 2", n)
	}
}
