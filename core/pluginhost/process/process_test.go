//go:build unix

package process

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
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
	out, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p, err := Start(Command{Path: "/bin/sh", Args: []string{"-c", "ps -o sid= -p $$"}, Env: os.Environ(), Stdout: out})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	got, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	mine, err := exec.Command("ps", "-o", "sid=", "-p", "self").Output()
	if err == nil && strings.TrimSpace(string(got)) == strings.TrimSpace(string(mine)) {
		t.Errorf("it shares our session %s", mine)
	}
	if strings.TrimSpace(string(got)) == "" {
		t.Skip("no ps here")
	}
}
