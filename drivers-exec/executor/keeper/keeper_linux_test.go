package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// TestMain lets the test binary be the keeper, as a driver binary is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Verb {
		os.Exit(Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// rig is a keeper in a directory of its own.
type rig struct {
	*testing.T
	dir    string
	client *Client
	ends   chan Task
}

func newRig(t *testing.T) *rig {
	dir, err := os.MkdirTemp("", "keep")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, dir: dir, ends: make(chan Task, 1000)}
	t.Cleanup(func() {
		if r.client == nil {
			r.connect()
		}
		keeper := r.client.Keeper()
		for _, held := range r.client.Held() {
			if held.Exit == nil {
				if fd, err := held.Proc.Open(); err == nil {
					unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
					unix.Close(fd)
				}
			}
		}
		r.client.Close()
		os.RemoveAll(filepath.Join(dir, "tasks"))
		if fd, err := keeper.Open(); err == nil {
			unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			r.await(fd)
		}
		os.RemoveAll(dir)
	})
	r.connect()
	return r
}

func (r *rig) connect() {
	r.Helper()
	c, err := Connect(r.Context0(), r.dir, nil, func(t Task) { r.ends <- t })
	if err != nil {
		r.Fatal(err)
	}
	r.client = c
}

// Context0 is a context that outlives the test's own, for cleanups.
func (r *rig) Context0() context.Context { return context.Background() }

// await waits until the process behind pidfd has ended, and closes it.
func (r *rig) await(pidfd int) {
	r.Helper()
	p := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, 10000)
		if err == unix.EINTR {
			continue
		}
		if n == 0 {
			r.Fatal("process did not end within 10 s")
		}
		break
	}
	unix.Close(pidfd)
}

func null(t testing.TB) launch.Files {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fd := int(f.Fd())
	return launch.Files{Stdio: [3]int{fd, fd, fd}, Enter: -1}
}

func shell(script string) *launch.Spec {
	return &launch.Spec{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin:/usr/bin"}}
}

func (r *rig) start(id string, spec *launch.Spec) (Task, int) {
	r.Helper()
	task, pidfd, err := r.client.Start(r.Context0(), id, spec, null(r), nil)
	if err != nil {
		r.Fatal(err)
	}
	return task, pidfd
}

func (r *rig) end() Task {
	r.Helper()
	select {
	case t := <-r.ends:
		return t
	case <-time.After(10 * time.Second):
		r.Fatal("no task ended within 10 s")
		return Task{}
	}
}

func (r *rig) killKeeper() {
	r.Helper()
	fd, err := r.client.Keeper().Open()
	if err != nil {
		r.Fatal(err)
	}
	unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	r.await(fd)
	<-r.client.Done()
}

func TestExit(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		script string
		want   proc.Exit
	}{
		"success": {"exit 0", proc.Exit{}},
		"code":    {"exit 42", proc.Exit{Code: 42}},
		"signal":  {"kill -TERM $$", proc.Exit{Code: 143, Signal: 15}},
		"killed":  {"kill -KILL $$", proc.Exit{Code: 137, Signal: 9}},
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Now()
			r.start(name, shell(c.script))
			got := r.end()
			if got.ID != name || got.Exit.At.Before(before) {
				t.Fatalf("ended: %+v", got)
			}
			got.Exit.At = time.Time{}
			if *got.Exit != c.want {
				t.Fatalf("exit %+v, want %+v", *got.Exit, c.want)
			}
			if err := r.client.Release(r.Context0(), name); err != nil {
				t.Fatal(err)
			}
		})
	}
	if left, err := Records(r.dir); err != nil || len(left) != 0 {
		t.Fatalf("records left: %v %v", left, err)
	}
}

func TestStartErrorsNameTheirCause(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		spec launch.Spec
		want []string
	}{
		"no program":   {launch.Spec{Path: "/no/such", Args: []string{"x"}}, []string{"/no/such", "no such file"}},
		"directory":    {launch.Spec{Path: "/tmp", Args: []string{"x"}}, []string{"execute /tmp", "permission denied"}},
		"no work dir":  {launch.Spec{Path: "/bin/true", Args: []string{"x"}, Dir: "/no/dir"}, []string{"/no/dir", "no such file"}},
		"relative":     {launch.Spec{Path: "true", Args: []string{"x"}}, []string{"no absolute path"}},
		"zero byte":    {launch.Spec{Path: "/bin/true", Args: []string{"a\x00b"}}, []string{"zero byte"}},
		"no namespace": {launch.Spec{Path: "/bin/true", Args: []string{"x"}, NetNS: "/no/ns"}, []string{"network namespace /no/ns"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := r.client.Start(r.Context0(), name, &c.spec, null(t), nil)
			if err == nil {
				t.Fatal("started")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q lacks %q", err, w)
				}
			}
		})
	}
	if left, _ := Records(r.dir); len(left) != 0 {
		t.Fatalf("records left: %v", left)
	}
}

func TestSameIDTwice(t *testing.T) {
	r := newRig(t)
	_, fd := r.start("a", shell("exec sleep 100"))
	defer r.await(fd)
	_, _, err := r.client.Start(r.Context0(), "a", shell("true"), null(t), nil)
	if !errors.Is(err, ErrExists) {
		t.Fatalf("second start: %v", err)
	}
	unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
}

func TestExitWithoutClientIsKept(t *testing.T) {
	r := newRig(t)
	gate := filepath.Join(t.TempDir(), "gate")
	syscall.Mkfifo(gate, 0o600)
	_, fd := r.start("a", shell("read x <"+gate+"; exit 7"))
	keeper := r.client.Keeper()
	r.client.Close()
	os.WriteFile(gate, []byte("go\n"), 0) // blocks until the task reads
	r.await(fd)
	r.connect()
	if r.client.Keeper() != keeper {
		t.Fatal("the keeper ended while it held a task")
	}
	held := r.client.Held()
	if len(held) != 1 {
		t.Fatalf("held: %+v", held)
	}
	if held[0].Exit == nil {
		held[0] = r.end()
	}
	if held[0].Exit.Code != 7 {
		t.Fatalf("exit %+v", held[0].Exit)
	}
}

func TestUpgradeKeepsChildren(t *testing.T) {
	r := newRig(t)
	gate := filepath.Join(t.TempDir(), "gate")
	syscall.Mkfifo(gate, 0o600)
	before, fd := r.start("a", shell("read x <"+gate+"; exit 9"))
	done, fd2 := r.start("b", shell("exit 3"))
	r.await(fd2)
	r.end()
	keeper := r.client.Keeper()
	self, _ := os.Executable()
	if err := r.client.Upgrade(r.Context0(), "/no/such"); err == nil {
		t.Fatal("upgraded to nothing")
	}
	if err := r.client.Upgrade(r.Context0(), self); err != nil {
		t.Fatal(err)
	}
	<-r.client.Done()
	r.connect()
	if r.client.Keeper() != keeper {
		t.Fatalf("keeper is %+v, was %+v", r.client.Keeper(), keeper)
	}
	for _, held := range r.client.Held() {
		switch held.ID {
		case "a":
			if held.Proc != before.Proc || held.Adopted || held.Exit != nil {
				t.Fatalf("task after upgrade: %+v", held)
			}
		case "b":
			if held.Proc != done.Proc || held.Exit.Code != 3 {
				t.Fatalf("task after upgrade: %+v", held)
			}
		}
	}
	os.WriteFile(gate, []byte("go\n"), 0)
	r.await(fd)
	if got := r.end(); got.ID != "a" || got.Exit.Code != 9 {
		t.Fatalf("ended: %+v", got)
	}
}

func TestKeeperInUseIsNotUpgraded(t *testing.T) {
	r := newRig(t)
	_, fd, err := r.client.Session(r.Context0(), "s", shell("exec sleep 100"), null(t))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	self, _ := os.Executable()
	if err := r.client.Upgrade(r.Context0(), self); !errors.Is(err, ErrInUse) {
		t.Fatalf("upgrade while a command runs: %v", err)
	}
	unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	r.end()
	if err := r.client.Upgrade(r.Context0(), self); err != nil {
		t.Fatal(err)
	}
	<-r.client.Done()
	r.connect()
}

func TestKilledKeeperIsReplaced(t *testing.T) {
	r := newRig(t)
	gate := filepath.Join(t.TempDir(), "gate")
	syscall.Mkfifo(gate, 0o600)
	before, fd := r.start("a", shell("read x <"+gate+"; exit 5"))
	gone, goneFD := r.start("b", shell("exec sleep 100"))
	r.killKeeper()
	unix.PidfdSendSignal(goneFD, unix.SIGKILL, nil, 0)
	r.await(goneFD)
	r.connect()
	var a, b *Task
	for _, held := range r.client.Held() {
		switch held.ID {
		case "a":
			a = &held
		case "b":
			b = &held
		}
	}
	if a == nil || a.Proc != before.Proc || !a.Adopted || a.Exit != nil {
		t.Fatalf("running task after the keeper's death: %+v", a)
	}
	if b == nil || b.Proc != gone.Proc || b.Exit == nil {
		t.Fatalf("ended task after the keeper's death: %+v", b)
	}
	if !b.Exit.Unknown && b.Exit.Signal != 9 {
		t.Fatalf("exit is neither true nor unknown: %+v", b.Exit)
	}
	os.WriteFile(gate, []byte("go\n"), 0)
	r.await(fd)
	got := r.end()
	if got.ID != "a" || got.Exit.Code != 5 && !got.Exit.Unknown {
		t.Fatalf("ended: %+v %+v", got, got.Exit)
	}
	t.Logf("exit of an adopted task: %+v", got.Exit)
}

// A client's own pidfd knows the exit of a process that nobody is left to ask
// about, on kernels that tell.
func TestAdoptWithPidfd(t *testing.T) {
	r := newRig(t)
	task, fd := r.start("b", shell("read x; exit 100"))
	r.await(dup(t, fd))
	r.end()
	r.killKeeper()
	r.connect()
	got, err := r.client.Adopt(r.Context0(), Task{ID: "other", Proc: task.Proc, Started: task.Started}, fd)
	unix.Close(fd)
	if err != nil {
		t.Fatal(err)
	}
	if got.Exit == nil || !got.Exit.Unknown && got.Exit.Code != 100 && got.Exit.Code != 1 {
		t.Fatalf("adopted: %+v %+v", got, got.Exit)
	}
	t.Logf("exit by pidfd: %+v", got.Exit)
}

func dup(t *testing.T, fd int) int {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestImpostorIsNotAdopted(t *testing.T) {
	r := newRig(t)
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	id, err := proc.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]proc.ID{
		"earlier start": {PID: id.PID, Start: id.Start - 1, Boot: id.Boot},
		"earlier boot":  {PID: id.PID, Start: id.Start, Boot: "another"},
	} {
		got, err := r.client.Adopt(r.Context0(), Task{ID: name, Proc: other}, -1)
		if err != nil || got.Exit == nil || !got.Exit.Unknown {
			t.Fatalf("%s: %+v %v", name, got, err)
		}
	}
	got, err := r.client.Adopt(r.Context0(), Task{ID: "same", Proc: id}, -1)
	if err != nil || got.Exit != nil {
		t.Fatalf("the process itself: %+v %v", got, err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	e := r.end()
	for e.ID != "same" { // the impostors' ends are told as well
		e = r.end()
	}
	if e.Exit.Signal != 9 && !e.Exit.Unknown {
		t.Fatalf("ended: %+v %+v", e, e.Exit)
	}
}

func TestSessionEndsWithItsClient(t *testing.T) {
	r := newRig(t)
	_, fd, err := r.client.Session(r.Context0(), "s", shell("exec sleep 100"), null(t))
	if err != nil {
		t.Fatal(err)
	}
	r.client.Close()
	r.await(fd)
	r.connect()
	if held := r.client.Held(); len(held) != 0 {
		t.Fatalf("held: %+v", held)
	}
}

func TestKeeperEndsWhenItHoldsNothing(t *testing.T) {
	r := newRig(t)
	_, fd := r.start("a", shell("exit 0"))
	r.await(fd)
	r.end()
	if err := r.client.Release(r.Context0(), "a"); err != nil {
		t.Fatal(err)
	}
	k, err := r.client.Keeper().Open()
	if err != nil {
		t.Fatal(err)
	}
	r.client.Close()
	r.await(k)
	if _, err := os.Stat(socketPath(r.dir)); !os.IsNotExist(err) {
		t.Fatalf("socket is left: %v", err)
	}
}

func TestTaskStateIsClean(t *testing.T) {
	r := newRig(t)
	out := filepath.Join(t.TempDir(), "out")
	spec := shell("cat /proc/self/status /proc/self/oom_score_adj >" + out + "; ls /proc/self/fd | wc -l >>" + out)
	spec.NoFile = &launch.Limit{Soft: 256, Hard: 512}
	_, fd := r.start("a", spec)
	r.await(fd)
	text, _ := os.ReadFile(out)
	for _, want := range []string{"SigIgn:\t0000000000000000", "SigBlk:\t0000000000000000", "\n0\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("task lacks %q:\n%s", want, text)
		}
	}
}

// Many clients that find no keeper start one together, and meet in it.
func TestOneKeeperPerDirectory(t *testing.T) {
	r := newRig(t)
	first := r.client.Keeper()
	r.killKeeper()
	// All clients stay until the last has come: a keeper with nothing to hold
	// leaves with its last client, and a later one rightly starts another.
	clients := make(chan *Client, 8)
	for range cap(clients) {
		go func() {
			c, err := Connect(context.Background(), r.dir, nil, func(Task) {})
			if err != nil {
				t.Error(err)
			}
			clients <- c
		}()
	}
	var one proc.ID
	for range cap(clients) {
		c := <-clients
		if c == nil {
			continue
		}
		defer c.Close()
		if one == (proc.ID{}) {
			one = c.Keeper()
		}
		if got := c.Keeper(); got != one {
			t.Errorf("two keepers: %+v and %+v", one, got)
		}
	}
	if one == first {
		t.Error("the keeper lives")
	}
	r.connect()
}

// Nothing is left of a keeper that had nothing to hold.
func TestDirectoryIsRemoved(t *testing.T) {
	r := newRig(t)
	k, err := r.client.Keeper().Open()
	if err != nil {
		t.Fatal(err)
	}
	r.client.Close()
	r.await(k)
	if left, err := os.ReadDir(r.dir); err == nil {
		t.Fatalf("left: %v", left)
	}
}

func TestForeignDirectoryIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := Connect(t.Context(), dir, nil, func(Task) {}); err == nil || !strings.Contains(err.Error(), "0700") {
		t.Fatalf("connect: %v", err)
	}
}

// Many short tasks at once: every end is told once, and no file stays open.
func TestManyTasks(t *testing.T) {
	r := newRig(t)
	const n = 200
	before := openFiles(t, r.client.Keeper().PID)
	failed := make(chan error, n)
	for i := range n {
		go func() {
			_, fd, err := r.client.Start(context.Background(), fmt.Sprint("t", i), &launch.Spec{Path: "/bin/sh", Args: []string{"sh", "-c", fmt.Sprint("exit ", i%100)}}, null(t), nil)
			unix.Close(fd)
			failed <- err
		}()
	}
	for range n {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for range n {
		got := r.end()
		var i int
		fmt.Sscanf(got.ID, "t%d", &i)
		if seen[got.ID] || got.Exit.Code != i%100 {
			t.Errorf("end of %s: %+v, seen %v", got.ID, got.Exit, seen[got.ID])
		}
		seen[got.ID] = true
		if err := r.client.Release(r.Context0(), got.ID); err != nil {
			t.Fatal(err)
		}
	}
	if after := openFiles(t, r.client.Keeper().PID); after > before+3 { // the trimming may be under way
		t.Fatalf("the keeper has %d files open, had %d", after, before)
	}
}

func openFiles(t *testing.T, pid int) int {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
