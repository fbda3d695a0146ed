package harness

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is a process that belongs to an agent.
type Process struct {
	PID   int
	PPID  int
	Cmd   string
	Alloc string // NOMAD_ALLOC_ID, for tasks
	Task  string
}

// RunDir is where an agent keeps its sockets.
func (a *Agent) RunDir() string {
	sum := sha256.Sum256([]byte(a.DataDir))
	short := hex.EncodeToString(sum[:4])
	if os.Geteuid() == 0 {
		return filepath.Join("/run/drover", short)
	}
	return filepath.Join(os.TempDir(), "drover-"+strconv.Itoa(os.Geteuid()), short)
}

// Processes are all live processes that name the agent's directories in their command line, environment or working
// directory: the agent, plugins, keepers, the collector and the tasks. Zombies count as ended.
func (a *Agent) Processes() []Process {
	a.t.Helper()
	marks := []string{a.dir, a.DataDir, a.RunDir()}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		a.t.Fatal(err)
	}
	var out []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil || zombie(stat) {
			continue
		}
		cmd, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		cwd, _ := os.Readlink(filepath.Join(dir, "cwd"))
		text := string(cmd) + "\x00" + string(env) + "\x00" + cwd
		mine := false
		for _, m := range marks {
			mine = mine || strings.Contains(text, m)
		}
		p := Process{PID: pid, PPID: parent(stat), Cmd: strings.ReplaceAll(strings.TrimRight(string(cmd), "\x00"), "\x00", " ")}
		for _, kv := range strings.Split(string(env), "\x00") {
			if v, ok := strings.CutPrefix(kv, "NOMAD_ALLOC_ID="); ok {
				p.Alloc = v
				// Isolated tasks see other paths, but their allocation's directory is the agent's.
				if _, err := os.Stat(a.AllocDir(v)); err == nil {
					mine = true
				}
			}
			if v, ok := strings.CutPrefix(kv, "NOMAD_TASK_NAME="); ok {
				p.Task = v
			}
		}
		if mine {
			out = append(out, p)
		}
	}
	return out
}

// parent is the second field after the command's name.
func parent(stat []byte) int {
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	pid, _ := strconv.Atoi(fields[1])
	return pid
}

func zombie(stat []byte) bool {
	i := strings.LastIndexByte(string(stat), ')')
	return i >= 0 && strings.HasPrefix(strings.TrimSpace(string(stat[i+1:])), "Z")
}

// TaskPIDs maps allocation to the sorted pids of its processes.
func (a *Agent) TaskPIDs() map[string][]int {
	out := map[string][]int{}
	for _, p := range a.Processes() {
		if p.Alloc != "" {
			out[p.Alloc] = append(out[p.Alloc], p.PID)
		}
	}
	for _, pids := range out {
		sort.Ints(pids)
	}
	return out
}

// Find returns the pids of the agent's processes whose command line contains text.
func (a *Agent) Find(text string) []int {
	var out []int
	for _, p := range a.Processes() {
		if p.Alloc == "" && strings.Contains(p.Cmd, text) {
			out = append(out, p.PID)
		}
	}
	return out
}

// Left lists what an agent left behind: processes, mounts, cgroups, FIFOs and sockets. The data directory's plain
// files do not count.
func (a *Agent) Left() []string {
	var out []string
	for _, p := range a.Processes() {
		out = append(out, fmt.Sprintf("process %d: %s", p.PID, p.Cmd))
	}
	if f, err := os.Open("/proc/self/mountinfo"); err == nil {
		defer f.Close()
		sc := bufio.NewScanner(f)
		for sc.Scan() {
			fields := strings.Fields(sc.Text())
			if len(fields) > 4 && (strings.HasPrefix(fields[4], a.DataDir+"/") || strings.HasPrefix(fields[4], a.RunDir()+"/")) {
				out = append(out, "mount "+fields[4])
			}
		}
	}
	for _, dir := range a.cgroups() {
		out = append(out, "cgroup "+dir)
	}
	for _, root := range []string{a.DataDir, a.RunDir()} {
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type()&(fs.ModeNamedPipe|fs.ModeSocket) != 0 {
				out = append(out, d.Type().String()+" "+path)
			}
			return nil
		})
	}
	sort.Strings(out)
	return out
}

// cgroups are those of the agent's allocations, children first.
func (a *Agent) cgroups() []string {
	var found []string
	entries, err := os.ReadDir(filepath.Join(a.DataDir, "alloc"))
	if err != nil || len(entries) == 0 {
		return nil
	}
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		for _, e := range entries {
			if strings.Contains(filepath.Base(path), e.Name()) {
				found = append(found, path)
			}
		}
		return nil
	})
	slices.Reverse(found)
	return found
}

// AssertNothingLeft fails the test when something is still there after a while.
func (a *Agent) AssertNothingLeft(t testing.TB) {
	t.Helper()
	Eventually(t, 15*time.Second, "nothing left", func() error {
		if left := a.Left(); len(left) > 0 {
			return fmt.Errorf("left behind:\n  %s", strings.Join(left, "\n  "))
		}
		return nil
	})
}

// reap ends what a failed test left, by pid, so that the next one starts clean.
func (a *Agent) reap() {
	for range 3 {
		procs := a.Processes()
		if len(procs) == 0 {
			break
		}
		for _, p := range procs {
			syscall.Kill(p.PID, syscall.SIGKILL)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if f, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		lines := strings.Split(string(f), "\n")
		for i := len(lines) - 1; i >= 0; i-- {
			if fields := strings.Fields(lines[i]); len(fields) > 4 && strings.HasPrefix(fields[4], a.dir+"/") {
				syscall.Unmount(fields[4], syscall.MNT_DETACH)
			}
		}
	}
	for range 20 { // the kernel may still be ending what was in them
		left := a.cgroups()
		if len(left) == 0 {
			break
		}
		for _, dir := range left {
			os.Remove(dir)
		}
		time.Sleep(20 * time.Millisecond)
	}
	os.RemoveAll(a.RunDir())
}
