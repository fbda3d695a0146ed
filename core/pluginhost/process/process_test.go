//go:build unix

package process

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func sleeper(t *testing.T) *Process {
	t.Helper()
	p, err := Start(Command{Path: "/bin/sleep", Args: []string{"60"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill() })
	return p
}

func TestEndIsNoticedAndDescribed(t *testing.T) {
	tests := map[string]struct{ script, want string }{
		"exit code": {"exit 3", "exit code 3"},
		"signal":    {"kill -KILL $$", "killed by signal killed"},
		"success":   {"true", "exit code 0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := Start(Command{Path: "/bin/sh", Args: []string{"-c", tt.script}})
			if err != nil {
				t.Fatal(err)
			}
			<-p.Done()
			if p.End() != tt.want {
				t.Errorf("got %q, want %q", p.End(), tt.want)
			}
			if err := p.Kill(); err != nil {
				t.Errorf("kill after the end: %v", err)
			}
		})
	}
}

func TestFindByIdentity(t *testing.T) {
	p := sleeper(t)
	found, err := Find(p.ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := found.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if _, err := Find(p.ID()); !errors.Is(err, ErrGone) {
		t.Errorf("found a dead process: %v", err)
	}
}

func TestImpostorIsNotTouched(t *testing.T) {
	p := sleeper(t)
	for name, id := range map[string]Identity{
		"other start":   {PID: p.ID().PID, StartTime: p.ID().StartTime - 1, BootID: p.ID().BootID},
		"earlier boot":  {PID: p.ID().PID, StartTime: p.ID().StartTime, BootID: "another"},
		"no such pid":   {PID: 1 << 22, StartTime: 1, BootID: p.ID().BootID},
		"pid 0":         {},
		"negative pid":  {PID: -1, StartTime: p.ID().StartTime, BootID: p.ID().BootID},
		"not yet known": {PID: p.ID().PID},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Find(id); !errors.Is(err, ErrGone) {
				t.Fatalf("got %v, %v", got, err)
			}
		})
	}
	select {
	case <-p.Done():
		t.Error("the impostor was ended")
	default:
	}
}

func TestOwnSession(t *testing.T) {
	p := sleeper(t)
	session, err := unix.Getsid(p.ID().PID)
	if err != nil {
		t.Fatal(err)
	}
	if session != p.ID().PID {
		t.Errorf("process %d is in session %d", p.ID().PID, session)
	}
}
