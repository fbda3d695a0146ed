package rawexec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/drivertest"
	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

func TestMain(m *testing.M) {
	drivertest.Main(m, Name, func() {
		plugin.Serve(Plugin(New(plugin.NewLogger(Name), nil), "0.1.0"))
	})
}

func newNode(t testing.TB) *drivertest.Node {
	return drivertest.New(t, Name, map[string]any{"enabled": true})
}

func shell(script string) map[string]any {
	return map[string]any{"command": "/bin/sh", "args": []any{"-c", script}}
}

func TestDisabled(t *testing.T) {
	n := drivertest.New(t, Name, map[string]any{})
	f := fingerprint(n)
	if f.Health != driver.Undetected || !strings.Contains(f.Description, "disabled") {
		t.Fatalf("fingerprint %+v", f)
	}
	_, err := n.Driver().StartTask(t.Context(), n.Task(shell("true")))
	if err == nil || !strings.Contains(err.Error(), "enabled = true") {
		t.Fatalf("start: %v", err)
	}
}

func fingerprint(n *drivertest.Node) (f driver.Fingerprint) {
	n.Helper()
	stop := fmt.Errorf("enough")
	_ = n.Driver().Fingerprint(context.Background(), func(got driver.Fingerprint) error {
		f = got
		return stop
	})
	return f
}

func TestFingerprint(t *testing.T) {
	n := newNode(t)
	f := fingerprint(n)
	if f.Health != driver.Healthy || f.Attributes["driver.raw_exec"].Format() != "true" || f.Attributes["driver.raw_exec.cgroups"].Format() == "" {
		t.Fatalf("fingerprint %+v", f)
	}
}

func TestRun(t *testing.T) {
	n := newNode(t)
	for name, c := range map[string]struct {
		script string
		want   driver.ExitResult
		output string
	}{
		"output": {"echo $GREETING world", driver.ExitResult{}, "hello world\n"},
		"code":   {"exit 3", driver.ExitResult{ExitCode: 3}, ""},
		"signal": {"kill -9 $$", driver.ExitResult{ExitCode: 137, Signal: 9}, ""},
		"dir":    {"basename $(pwd)", driver.ExitResult{}, "task"},
	} {
		t.Run(name, func(t *testing.T) {
			exit, out := n.Run(n.Task(shell(c.script)))
			if *exit != c.want || !strings.HasPrefix(out, c.output) {
				t.Fatalf("exit %+v output %q, want %+v %q", exit, out, c.want, c.output)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	n := drivertest.New(t, Name, map[string]any{"enabled": true, "denied_host_uids": "1"})
	for name, c := range map[string]struct {
		config map[string]any
		user   string
		want   string
	}{
		"missing":          {map[string]any{"command": "/no/such/program"}, "", "/no/such/program"},
		"missing by name":  {map[string]any{"command": "no-such-program"}, "", "no-such-program"},
		"not executable":   {map[string]any{"command": "/etc/passwd"}, "", "not executable"},
		"relative workdir": {map[string]any{"command": "/bin/true", "work_dir": "x"}, "", "absolute"},
		"missing workdir":  {map[string]any{"command": "/bin/true", "work_dir": "/no/dir"}, "", "/no/dir"},
		"negative oom":     {map[string]any{"command": "/bin/true", "oom_score_adj": -5}, "", "negative"},
		"unknown user":     {map[string]any{"command": "/bin/true"}, "nobody-knows", "does not exist"},
		"both overrides":   {map[string]any{"command": "/bin/true", "cgroup_v2_override": "x", "cgroup_v1_override": []any{map[string]any{"pids": "x"}}}, "", "exclude"},
		"no such cgroup":   {map[string]any{"command": "/bin/true", "cgroup_v2_override": "no/such"}, "", "no/such"},
		"corrupt program":  {map[string]any{"command": "corrupt"}, "", "/local/corrupt: exec format error (neither"},
		"no interpreter":   {map[string]any{"command": "script"}, "", "/local/script: no such file or directory (the file, or the interpreter"},
		"not for a user":   {map[string]any{"command": "mine"}, "nobody", "/local/mine: permission denied (the task's user may not"},
		"directory":        {map[string]any{"command": "/usr"}, "", "/usr is a directory"},
		"climbing":         {map[string]any{"command": "../../../../../../../../bin/true"}, "", "not found"},
		"work dir a file":  {map[string]any{"command": "/bin/true", "work_dir": "/etc/passwd"}, "", "/etc/passwd: not a directory"},
		"denied user":      {map[string]any{"command": "/bin/true"}, "daemon", "denied_host_uids"},
	} {
		t.Run(name, func(t *testing.T) {
			task := n.Task(c.config)
			for file, text := range map[string]string{"corrupt": "\x7fELF, but no more", "script": "#!/no/such/shell\n", "mine": "#!/bin/sh\n"} {
				if err := os.WriteFile(filepath.Join(task.LocalDir(), file), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(filepath.Join(task.LocalDir(), "mine"), 0o700); err != nil {
				t.Fatal(err)
			}
			task.User = c.user
			_, err := n.Driver().StartTask(t.Context(), task)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("start: %v, want %q", err, c.want)
			}
			if err := n.Driver().DestroyTask(t.Context(), task.ID, true); !errors.Is(err, host.ErrTaskNotFound) {
				t.Errorf("the driver still knows the task: %v", err)
			}
		})
	}
}

func TestDuplicateStart(t *testing.T) {
	n := newNode(t)
	task := n.Task(shell("exec sleep 100"))
	n.Start(task)
	if _, err := n.Driver().StartTask(t.Context(), task); err == nil || !strings.Contains(err.Error(), "already started") {
		t.Fatalf("second start: %v", err)
	}
	if err := n.Driver().DestroyTask(t.Context(), task.ID, false); err == nil {
		t.Fatal("a running task was destroyed without force")
	}
}

func TestStop(t *testing.T) {
	n := newNode(t)
	for name, c := range map[string]struct {
		script  string
		signal  string
		timeout time.Duration
		want    driver.ExitResult
	}{
		"default signal": {"exec sleep 100", "", 10 * time.Second, driver.ExitResult{ExitCode: 130, Signal: 2}},
		"named signal":   {"trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done", "SIGTERM", 10 * time.Second, driver.ExitResult{ExitCode: 4}},
		"deaf":           {"trap '' INT TERM; echo up; while :; do sleep 0.05; done", "SIGTERM", 50 * time.Millisecond, driver.ExitResult{ExitCode: 137, Signal: 9}},
	} {
		t.Run(name, func(t *testing.T) {
			task := n.Task(shell(c.script))
			n.Start(task)
			if strings.Contains(c.script, "echo up") {
				n.Output(task, "up")
			}
			began := time.Now()
			if err := n.Driver().StopTask(t.Context(), task.ID, c.timeout, c.signal); err != nil {
				t.Fatal(err)
			}
			if exit := n.Wait(task); *exit != c.want {
				t.Fatalf("exit %+v, want %+v", exit, c.want)
			}
			if took := time.Since(began); took > 8*time.Second {
				t.Fatalf("stop took %s", took)
			}
		})
	}
}

// A whole tree ends with its task, even what began a session of its own.
func TestTreeIsKilled(t *testing.T) {
	n := newNode(t)
	task := n.Task(shell(`setsid sleep 1000 & (sleep 1001 & echo $! >&1; wait) & echo $!; echo up; wait`))
	h := n.Start(task)
	out := n.Output(task, "up")
	var pids []int
	for _, f := range strings.Fields(out) {
		if pid, err := strconv.Atoi(f); err == nil {
			pids = append(pids, pid)
		}
	}
	if err := n.Driver().StopTask(t.Context(), task.ID, 0, ""); err != nil {
		t.Fatal(err)
	}
	n.Wait(task)
	for _, pid := range append(pids, n.PID(task)) {
		if st, err := proc.ReadStat(pid); err == nil && !st.Ended() {
			t.Errorf("process %d of the task lives: %+v", pid, st)
		}
	}
	_ = h
}

func TestPluginKilled(t *testing.T) {
	n := newNode(t)
	gate := filepath.Join(t.TempDir(), "gate")
	syscall.Mkfifo(gate, 0o600)
	runs := n.Task(shell("exec 3<>" + gate + "; i=0; while read x <&3; do i=$((i+1)); echo line $i; [ $x = end ] && exit 6; done"))
	endGate := filepath.Join(t.TempDir(), "gate2")
	syscall.Mkfifo(endGate, 0o600)
	ends := n.Task(shell("read x <" + endGate + "; exit 5"))
	hr, he := n.Start(runs), n.Start(ends)
	pid := n.PID(runs)
	keeper := n.Keeper()
	send(t, gate, "one")
	n.Output(runs, "line 1")

	n.Kill()
	send(t, gate, "two")
	n.Output(runs, "line 2")
	send(t, endGate, "end") // ends while no plugin runs
	n.Launch()
	for _, h := range []*driver.TaskHandle{hr, he} {
		if err := n.Driver().RecoverTask(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		if err := n.Driver().RecoverTask(t.Context(), h); err != nil {
			t.Fatalf("recover again: %v", err)
		}
	}
	if got := n.Keeper(); got != keeper {
		t.Fatalf("keeper is %+v, was %+v", got, keeper)
	}
	if got := n.PID(runs); got != pid {
		t.Fatalf("task has pid %d, had %d", got, pid)
	}
	if exit := n.Wait(ends); *exit != (driver.ExitResult{ExitCode: 5}) {
		t.Fatalf("exit while the plugin was down: %+v", exit)
	}
	send(t, gate, "end")
	if exit := n.Wait(runs); *exit != (driver.ExitResult{ExitCode: 6}) {
		t.Fatalf("exit after recovery: %+v", exit)
	}
	if out := n.Drained(runs); out != "line 1\nline 2\nline 3\n" {
		t.Fatalf("output %q", out)
	}
}

// send writes a line into a FIFO that a task reads. It waits for the task to
// open the FIFO, which the task then keeps open.
func send(t testing.TB, fifo, line string) {
	t.Helper()
	if err := os.WriteFile(fifo, []byte(line+"\n"), 0); err != nil {
		t.Fatal(err)
	}
}

func TestKeeperKilled(t *testing.T) {
	n := newNode(t)
	task := n.Task(shell("trap 'exit 8' TERM; echo up; while :; do sleep 0.02; done"))
	n.Start(task)
	n.Output(task, "up")
	before := n.Keeper()
	pid := n.PID(task)
	kill(t, before)
	if st, err := proc.ReadStat(pid); err != nil || st.Ended() {
		t.Fatalf("the task died with its keeper: %+v %v", st, err)
	}
	// A new task needs a keeper again; the old one is adopted.
	if exit, out := n.Run(n.Task(shell("echo second"))); exit.ExitCode != 0 || out != "second\n" {
		t.Fatalf("%+v %q", exit, out)
	}
	if n.Keeper() == before {
		t.Fatal("the keeper lives")
	}
	if err := n.Driver().StopTask(t.Context(), task.ID, 10*time.Second, "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	exit := n.Wait(task)
	if exit.ExitCode != 8 && exit.Err == "" {
		t.Fatalf("exit is neither true nor unknown: %+v", exit)
	}
	t.Logf("exit after the keeper's death: %+v", exit)
}

func kill(t testing.TB, id proc.ID) {
	t.Helper()
	fd, err := id.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, _ := unix.Poll(p, 10000); n == 0 {
		t.Fatalf("process %d does not end", id.PID)
	}
}

// Plugin and keeper die, and a process ends unseen: the driver says what it
// knows and does not invent a success.
func TestPluginAndKeeperKilled(t *testing.T) {
	n := newNode(t)
	gone, stays := n.Task(shell("exec sleep 1000")), n.Task(shell("exec sleep 1001"))
	hg, hs := n.Start(gone), n.Start(stays)
	keeper, pid, goneID := n.Keeper(), n.PID(stays), n.PID(gone)
	goneProc, err := proc.Identify(goneID)
	if err != nil {
		t.Fatal(err)
	}
	n.Kill()
	kill(t, keeper)
	kill(t, goneProc)
	n.Launch()
	for _, h := range []*driver.TaskHandle{hg, hs} {
		if err := n.Driver().RecoverTask(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.PID(stays); got != pid {
		t.Fatalf("task has pid %d, had %d", got, pid)
	}
	if exit := n.Wait(gone); exit.Err == "" && exit.Signal != 9 {
		t.Fatalf("exit %+v", exit)
	} else {
		t.Logf("exit unseen: %+v", exit)
	}
}

// A new build of the plugin makes the keeper its own, without ending a task.
func TestKeeperUpgrade(t *testing.T) {
	n := newNode(t)
	task := n.Task(shell("trap 'exit 9' TERM; echo up; while :; do sleep 0.02; done"))
	h := n.Start(task)
	n.Output(task, "up")
	keeper, pid := n.Keeper(), n.PID(task)
	n.Kill()
	self, _ := os.Executable()
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(t.TempDir(), "newer")
	if err := os.WriteFile(newer, text, 0o755); err != nil {
		t.Fatal(err)
	}
	n.LaunchBinary(newer, drivertest.PluginVerb)
	if err := n.Driver().RecoverTask(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if got := n.Keeper(); got != keeper {
		t.Fatalf("keeper is %+v, was %+v", got, keeper)
	}
	if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", keeper.PID)); exe != newer {
		t.Fatalf("keeper runs %s, want %s", exe, newer)
	}
	if got := n.PID(task); got != pid {
		t.Fatalf("task has pid %d, had %d", got, pid)
	}
	if err := n.Driver().StopTask(t.Context(), task.ID, 10*time.Second, "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	if exit := n.Wait(task); *exit != (driver.ExitResult{ExitCode: 9}) {
		t.Fatalf("exit %+v", exit)
	}
}

// The pid in a handle may be another process by now.
func TestImpostor(t *testing.T) {
	n := newNode(t)
	task := n.Task(shell("exec sleep 1000"))
	victim, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { victim.Kill(); victim.Wait() }()
	id, err := proc.Identify(victim.Pid)
	if err != nil {
		t.Fatal(err)
	}
	id.Start -= 5
	p := Plugin(New(nil, nil), "0.1.0")
	p.Close()
	sup := executor.New(executor.Config{Driver: Name})
	defer sup.Close()
	got, err := sup.Recover(t.Context(), executor.State{ID: task.ID, Proc: id, Dir: n.KeeperDir()})
	if err != nil {
		t.Fatal(err)
	}
	exit, err := got.Wait(t.Context())
	if err != nil || !exit.Unknown {
		t.Fatalf("exit %+v %v", exit, err)
	}
	if err := got.Signal("SIGTERM"); err == nil {
		t.Fatal("signalled an impostor")
	}
	if err := got.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st, err := proc.ReadStat(victim.Pid); err != nil || st.Ended() {
		t.Fatalf("the impostor was touched: %+v %v", st, err)
	}
}

func TestSignalAndExec(t *testing.T) {
	n := newNode(t)
	task := n.Task(shell("trap 'echo hup' HUP; echo up; while :; do sleep 0.02; done"))
	n.Start(task)
	n.Output(task, "up")
	if err := n.Driver().SignalTask(t.Context(), task.ID, "SIGHUP"); err != nil {
		t.Fatal(err)
	}
	n.Output(task, "hup")
	if err := n.Driver().SignalTask(t.Context(), task.ID, "SIGNONE"); err == nil {
		t.Fatal("sent an unknown signal")
	}
	r, err := n.Driver().ExecTask(t.Context(), task.ID, []string{"sh", "-c", "echo $GREETING; echo bad >&2; exit 12"}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Stdout) != "hello\n" || string(r.Stderr) != "bad\n" || r.Exit.ExitCode != 12 {
		t.Fatalf("exec: %+v", r)
	}
	if _, err := n.Driver().ExecTask(t.Context(), task.ID, []string{"/no/such"}, time.Second); err == nil || !strings.Contains(err.Error(), "/no/such") {
		t.Fatalf("exec of a missing program: %v", err)
	}
	pidFile := filepath.Join(t.TempDir(), "pid")
	if _, err := n.Driver().ExecTask(t.Context(), task.ID, []string{"sh", "-c", "sleep 1000 & echo $! >" + pidFile + "; wait"}, 500*time.Millisecond); err == nil {
		t.Fatal("exec outlasted its timeout")
	}
	var child int
	text, _ := os.ReadFile(pidFile)
	fmt.Sscan(string(text), &child)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		st, err := proc.ReadStat(child)
		if err != nil || st.Ended() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a child of a command that timed out lives: %+v", st)
		}
	}
}

// syncBuffer is a buffer that a test reads while it is written.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
	grew chan struct{}
}

func newSyncBuffer() *syncBuffer { return &syncBuffer{grew: make(chan struct{}, 1)} }

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p)
	select {
	case b.grew <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (b *syncBuffer) await(t testing.TB, want string) {
	t.Helper()
	for deadline := time.After(20 * time.Second); ; {
		b.mu.Lock()
		text := b.text.String()
		b.mu.Unlock()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-b.grew:
		case <-deadline:
			t.Fatalf("no %q in %q", want, text)
		}
	}
}

func TestExecTerminal(t *testing.T) {
	n := newNode(t)
	task := n.Task(shell("exec sleep 1000"))
	n.Start(task)
	in, typed := io.Pipe()
	out := newSyncBuffer()
	sizes := make(chan driver.TerminalSize, 1)
	sizes <- driver.TerminalSize{Height: 40, Width: 123}
	done := make(chan *driver.ExitResult, 1)
	go func() {
		exit, err := n.Driver().ExecTaskStreaming(context.Background(), &driver.ExecRequest{
			TaskID: task.ID, Command: []string{"/bin/sh"}, TTY: true, Stdin: in, Stdout: out, Stderr: io.Discard, Resize: sizes,
		})
		if err != nil {
			t.Error(err)
		}
		done <- exit
	}()
	fmt.Fprintln(typed, "test -t 0 && echo is a ter''minal")
	out.await(t, "is a terminal")
	fmt.Fprintln(typed, "stty size")
	out.await(t, "40 123")
	fmt.Fprintln(typed, "exit 21")
	if exit := <-done; exit == nil || exit.ExitCode != 21 {
		t.Fatalf("exit %+v", exit)
	}
}

func TestStats(t *testing.T) {
	n := newNode(t)
	task := n.Task(shell("while :; do :; done"))
	n.Start(task)
	samples := 0
	stop := fmt.Errorf("enough")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_ = n.Driver().Stats(ctx, task.ID, 100*time.Millisecond, func(s driver.TaskStats) error {
		samples++
		if samples > 3 && s.Usage.CPU.Percent > 5 && s.Usage.Memory.RSS > 0 && s.Usage.CPU.TotalTicks > 0 {
			return stop
		}
		return nil
	})
	if ctx.Err() != nil {
		t.Fatalf("no sensible sample among %d", samples)
	}
}

func TestUserAndEnvironment(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	n := newNode(t)
	config := shell("id -u; id -g; echo [$SECRET_KEY]; cat /proc/self/oom_score_adj")
	config["denied_envvars"] = []any{"SECRET_*"}
	config["oom_score_adj"] = 7
	task := n.Task(config)
	task.User = "nobody"
	task.Env["SECRET_KEY"] = "x"
	if exit, out := n.Run(task); exit.ExitCode != 0 || out != "65534\n65534\n[]\n7\n" {
		t.Fatalf("%+v %q", exit, out)
	}
}

// An environment larger than a socket's buffer arrives whole, and one that the
// kernel does not take is refused with its words.
func TestLargeEnvironment(t *testing.T) {
	n := newNode(t)
	task := n.Task(shell("env | wc -c"))
	for i := range 10 {
		task.Env[fmt.Sprint("LARGE", i)] = strings.Repeat("x", 100<<10)
	}
	exit, out := n.Run(task)
	var size int
	fmt.Sscan(out, &size)
	if exit.ExitCode != 0 || size < 10*100<<10 {
		t.Fatalf("%+v: %d bytes", exit, size)
	}
	task = n.Task(shell("true"))
	task.Env["HUGE"] = strings.Repeat("x", 200<<10)
	if _, err := n.Driver().StartTask(t.Context(), task); err == nil || !strings.Contains(err.Error(), "argument list too long") {
		t.Fatalf("start: %v", err)
	}
}

func TestCommandInTaskDirectory(t *testing.T) {
	n := newNode(t)
	task := n.Task(map[string]any{"command": "mine"})
	if err := os.WriteFile(filepath.Join(task.LocalDir(), "mine"), []byte("#!/bin/sh\necho mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if exit, out := n.Run(task); exit.ExitCode != 0 || out != "mine\n" {
		t.Fatalf("%+v %q", exit, out)
	}
	link := n.Task(map[string]any{"command": "out"})
	os.Symlink("/etc/shadow", filepath.Join(link.LocalDir(), "out"))
	if _, err := n.Driver().StartTask(t.Context(), link); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Fatalf("a link out of the task's directory was followed: %v", err)
	}
}

// With plugin and keeper dead and their tasks running on, the offline verb
// removes what is dead, and with -force everything.
func TestCleanup(t *testing.T) {
	n := newNode(t)
	dead, lives := n.Task(shell("exec sleep 1000")), n.Task(shell("setsid sleep 1001 & exec sleep 1002"))
	n.Start(dead)
	n.Start(lives)
	deadProc, err := proc.Identify(n.PID(dead))
	if err != nil {
		t.Fatal(err)
	}
	pid := n.PID(lives)
	k := n.Keeper()
	n.Kill()
	kill(t, k)
	kill(t, deadProc)
	cleanup := func(args ...string) string {
		self, _ := os.Executable()
		out, err := exec.Command(self, append([]string{executor.CleanupVerb, "-dir", n.KeeperDir()}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if out := cleanup(); !strings.Contains(out, dead.ID+": removed") || !strings.Contains(out, lives.ID+" runs") {
		t.Fatal(out)
	}
	if st, err := proc.ReadStat(pid); err != nil || st.Ended() {
		t.Fatalf("a running task was ended: %+v %v", st, err)
	}
	if out := cleanup("-force"); !strings.Contains(out, lives.ID+": removed") {
		t.Fatal(out)
	}
	if st, err := proc.ReadStat(pid); err == nil && !st.Ended() {
		t.Fatalf("the task lives: %+v", st)
	}
	n.Launch()
}

// Starts and ends leave no file open in plugin and keeper.
func TestManyStarts(t *testing.T) {
	n := newNode(t)
	rounds := 60
	switch os.Getenv("DROVER_TIER") {
	case "ci":
		rounds = 300
	case "soak":
		rounds = 10000
	}
	task := n.Task(shell("exit 0"))
	task.StdoutPath, task.StderrPath = os.DevNull, os.DevNull
	id := task.ID
	once := func(i int) {
		task.ID = fmt.Sprintf("%s%06x", id, i)
		n.Run(task)
	}
	once(0)
	files := func() (plugin, keeper int) { return openFiles(t, n.Plugin.Pid()), openFiles(t, n.Keeper().PID) }
	p0, k0 := files()
	for i := range rounds {
		once(i + 1)
	}
	if p, k := files(); p > p0+3 || k > k0+3 { // a connection, or the trimming, may be under way
		t.Fatalf("after %d starts: plugin has %d files open, had %d; keeper %d, had %d", rounds, p, p0, k, k0)
	}
	_, private := rollup(t, n.Keeper().PID)
	t.Logf("keeper's private memory after %d starts: %.1f MiB", rounds, private)
}

func openFiles(t testing.TB, pid int) int {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// BenchmarkStart200 starts 200 sleeps through the plugin, as a host does.
func BenchmarkStart200(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "drover-driver-raw-exec")
	if out, err := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "../cmd/drover-driver-raw-exec").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	for range b.N {
		b.StopTimer()
		n := newNode(b)
		n.Kill()
		n.LaunchBinary(binary)
		tasks := make([]*driver.TaskConfig, 200)
		for i := range tasks {
			tasks[i] = n.Task(map[string]any{"command": "/bin/sleep", "args": []any{"1000"}})
			tasks[i].StdoutPath, tasks[i].StderrPath = os.DevNull, os.DevNull
		}
		settle()
		before := memory(b, n)
		b.StartTimer()
		began := time.Now()
		for _, t := range tasks {
			n.Start(t)
		}
		took := time.Since(began)
		b.StopTimer()
		settle()
		after := memory(b, n)
		b.ReportMetric(200/took.Seconds(), "starts/s")
		for name, v := range after {
			b.ReportMetric(v, name+"-MiB-200")
			b.ReportMetric(before[name], name+"-MiB-0")
		}
	}
}

// settle lets plugin and keeper come to rest, which is what is measured.
func settle() { time.Sleep(5 * time.Second) }

// memory is what plugin and keeper take, in MiB.
func memory(b *testing.B, n *drivertest.Node) map[string]float64 {
	m := map[string]float64{}
	m["plugin-pss"], m["plugin-private"] = rollup(b, n.Plugin.Pid())
	if _, err := os.Stat(filepath.Join(n.KeeperDir(), "keeper.sock")); err == nil {
		m["keeper-pss"], m["keeper-private"] = rollup(b, n.Keeper().PID)
	}
	return m
}

func rollup(b testing.TB, pid int) (pss, private float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kb float64
		if f := strings.Fields(line); len(f) > 1 {
			kb, _ = strconv.ParseFloat(f[1], 64)
		}
		switch {
		case strings.HasPrefix(line, "Pss:"):
			pss = kb / 1024
		case strings.HasPrefix(line, "Private_"):
			private += kb / 1024
		}
	}
	return pss, private
}
