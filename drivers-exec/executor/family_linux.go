package executor

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// family are the processes of a task that has no cgroup of its own: those of
// its session. A process that began a session of its own has left it; only
// cgroups hold on to such a one.
type family []proc.ID

// family finds the task's other processes. With a cgroup that is not needed.
func (p *Process) family() family {
	if p.state.Group.Tree != "" && !p.state.Group.Shared {
		return nil
	}
	leader := p.state.Proc
	if now, err := proc.ReadStat(leader.PID); err == nil && now.Start != leader.Start {
		return nil // the pid is another's, which it cannot be while our session lives
	}
	var found family
	for _, pid := range processes() {
		s, err := proc.ReadStat(pid)
		if err == nil && s.Session == leader.PID && pid != leader.PID && s.Start >= leader.Start {
			found = append(found, proc.ID{PID: pid, Start: s.Start, Boot: leader.Boot})
		}
	}
	return found
}

func (f family) kill() {
	for _, id := range f {
		if fd, err := id.Open(); err == nil {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			unix.Close(fd)
		}
	}
}

// processes lists all pids of the machine.
func processes() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var pids []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// handles reports whether a process would notice a signal other than by being
// ended: it catches, ignores or blocks it.
func handles(pid int, sig syscall.Signal) (bool, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if key != "SigCgt" && key != "SigIgn" && key != "SigBlk" {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			return false, fmt.Errorf("read signals of process %d: %w", pid, err)
		}
		if mask&(1<<(uint(sig)-1)) != 0 {
			return true, nil
		}
	}
	return false, nil
}
