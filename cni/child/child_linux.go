// Package child runs CNI plugins as processes that end with their purpose: one that hangs is ended, what one leaves
// running is ended, and so is what a network plugin that was killed left at work.
package child

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// mark is the environment variable that every process carries which was started for a node, and what those start in turn.
const mark = "DROVER_CNI_RUN="

// Family are the processes of one network plugin, of this process of it and of those before.
type Family struct {
	name string // of the node; no two on a machine share it
	self string // this process of the network plugin
}

// NewFamily returns the family of a node. The name must not hold a comma.
func NewFamily(name string) Family {
	return Family{name: name, self: identity(os.Getpid())}
}

// linger is how long output may be held open by what a process left running.
const linger = time.Second

// Command is a process of the family. When ctx ends, it and what it started are killed.
func (f Family) Command(ctx context.Context, path string, environ []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = append(environ, mark+f.name+","+f.self+","+session(os.Getpid()))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = linger
	return cmd
}

// Run runs a command of Command to its end, and ends what it left running.
func Run(cmd *exec.Cmd) error {
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	return err
}

// EndOrphans kills the processes of the family whose network plugin is gone, and returns when none is left, with their
// commands. What they were about to make would come after it was cleaned up. A process that left the session which the
// plugin runs in, as daemons do that a CNI plugin starts on purpose (a name server, a DHCP client), lives on: it serves
// allocations, and its CNI plugin ends it with their removal.
func (f Family) EndOrphans(ctx context.Context) (ended []string, err error) {
	const pause = 10 * time.Millisecond
	seen := map[string]bool{}
	for {
		left, err := f.orphans()
		if err != nil || len(left) == 0 {
			return ended, err
		}
		for _, pid := range left {
			if who := identity(pid); !seen[who] {
				seen[who] = true
				ended = append(ended, command(pid))
			}
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ended, fmt.Errorf("processes %v of CNI plugins, left by a network plugin that is gone, do not end: %w", left, ctx.Err())
		}
	}
}

// orphans are the processes of the family whose network plugin does not run.
func (f Family) orphans() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	want := []byte(mark + f.name + ",")
	var pids []int
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscanf(e.Name(), "%d", &pid); err != nil || pid == os.Getpid() {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err != nil {
			continue // ended meanwhile
		}
		for field := range bytes.SplitSeq(text, []byte{0}) {
			rest, ok := bytes.CutPrefix(field, want)
			if !ok {
				continue
			}
			starter, itsSession, _ := strings.Cut(string(rest), ",")
			if session(pid) == itsSession && !alive(starter) {
				pids = append(pids, pid)
			}
			break
		}
	}
	return pids, nil
}

// identity tells a process from every other of this boot: its number and when it began.
func identity(pid int) string { return fmt.Sprintf("%d.%s", pid, began(pid)) }

func alive(identity string) bool {
	var pid int
	_, start, _ := strings.Cut(identity, ".")
	_, err := fmt.Sscanf(identity, "%d.", &pid)
	return err == nil && start != "" && began(pid) == start
}

// began is when a process began, in ticks since the machine did; "" if it has ended, waited for or not.
func began(pid int) string { return stat(pid, 19) }

// session is the session that a process is in: a group of its own keeps it, a daemon leaves it. "" if it has ended.
func session(pid int) string { return stat(pid, 3) }

// stat is a field of a living process after its name, which may hold anything.
func stat(pid, field int) string {
	const state = 0
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) <= field || fields[state] == "Z" || fields[state] == "X" {
		return ""
	}
	return fields[field]
}

func command(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(text))
}
