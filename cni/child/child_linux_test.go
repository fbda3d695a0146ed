package child

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is also a network plugin that is killed while a CNI plugin of its works: it starts one, which starts another and
// a daemon, and prints their numbers.
func TestMain(m *testing.M) {
	if name := os.Getenv("TEST_PARENT"); name != "" {
		cmd := NewFamily(name).Command(context.Background(), "/bin/sh", []string{"PATH=" + os.Getenv("PATH")})
		cmd.Args = append(cmd.Args, "-c", `sleep 600 & at=$!; setsid sleep 600 & echo $$ $at $!; wait`)
		cmd.Stdout = os.Stdout
		fmt.Fprintln(os.Stderr, Run(cmd))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// parent starts one and returns it with the numbers of its child, grandchild and daemon.
func parent(t *testing.T, family string) (p *exec.Cmd, child, grandchild, daemon int) {
	t.Helper()
	p = exec.Command(os.Args[0])
	p.Env = append(os.Environ(), "TEST_PARENT="+family)
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	line, _ := bufio.NewReader(out).ReadString('\n')
	if _, err := fmt.Sscan(line, &child, &grandchild, &daemon); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-child, syscall.SIGKILL)
		_ = syscall.Kill(daemon, syscall.SIGKILL)
	})
	for late := time.Now().Add(20 * time.Second); session(daemon) != strconv.Itoa(daemon); {
		if time.Now().After(late) {
			t.Fatal("the daemon has no session of its own")
		}
	}
	return p, child, grandchild, daemon
}

func TestOrphansAreEnded(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to look into other processes as an agent does")
	}
	name := fmt.Sprintf("test-%d-", os.Getpid())
	f := NewFamily(name)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	p, child, grandchild, daemon := parent(t, name)
	_, other, _, _ := parent(t, name+"other-")
	if ended, err := f.EndOrphans(ctx); err != nil || len(ended) != 0 {
		t.Fatalf("their network plugin lives, and %v were ended (%v)", ended, err)
	}
	_ = p.Process.Kill() // and nobody waits for it: a zombie is gone too
	for began(p.Process.Pid) != "" {
		if ctx.Err() != nil {
			t.Fatal(ctx.Err())
		}
	}
	ended, err := f.EndOrphans(ctx)
	if err != nil || strings.Join(ended, " ") == "" {
		t.Fatalf("ended %v, %v", ended, err)
	}
	for _, pid := range []int{child, grandchild} {
		if began(pid) != "" {
			t.Errorf("process %d is there", pid)
		}
	}
	if began(daemon) == "" {
		t.Error("a daemon that has left the session was ended")
	}
	if began(other) == "" {
		t.Error("a process of another family was ended")
	}
}

func TestCommandEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	cmd := NewFamily("test-").Command(ctx, "/bin/sh", nil)
	cmd.Args = append(cmd.Args, "-c", "sleep 600 >/dev/null 2>&1 & echo $!; wait")
	cmd.Stdout = &out
	if err := Run(cmd); err == nil {
		t.Error("it ended well")
	}
	var pid int
	if _, err := fmt.Sscan(out.String(), &pid); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	for late := time.Now().Add(20 * time.Second); began(pid) != ""; {
		if time.Now().After(late) {
			t.Fatalf("process %d is there", pid)
		}
	}
}
