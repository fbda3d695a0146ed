package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/drivers-exec/drivertest"
	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
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
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	return drivertest.New(t, Name, map[string]any{})
}

func shell(script string) map[string]any {
	return map[string]any{"command": "/bin/sh", "args": []any{"-c", script}}
}

// run runs a script as a task and returns what it printed.
func run(t testing.TB, n *drivertest.Node, change func(*driver.TaskConfig), script string) string {
	t.Helper()
	task := n.Task(shell("exec 2>&1; " + script))
	if change != nil {
		change(task)
	}
	exit, out := n.Run(task)
	if exit.ExitCode != 0 || exit.Signal != 0 {
		t.Errorf("exit %+v: %s", exit, out)
	}
	return out
}

func asRoot(c *driver.TaskConfig) { c.User = "root" }

func TestIsolation(t *testing.T) {
	n := newNode(t)
	for name, c := range map[string]struct {
		change func(*driver.TaskConfig)
		script string
		want   string
	}{
		"first process":        {nil, "echo $$", "1\n"},
		"no host processes":    {nil, "set -- /proc/[0-9]*; echo $*", "/proc/1\n"},
		"default user":         {nil, "id -un; echo $USER $HOME", "nobody\nnobody /nonexistent\n"},
		"root read-only":       {asRoot, "touch /x || echo refused; touch /usr/x || echo refused; touch /dev/x || echo refused", "touch: cannot touch '/x': Read-only file system\nrefused\ntouch: cannot touch '/usr/x': Read-only file system\nrefused\ntouch: cannot touch '/dev/x': Read-only file system\nrefused\n"},
		"own directories":      {nil, "for d in alloc local secrets tmp; do echo y >/$d/x && cat /$d/x; done", "y\ny\ny\ny\n"},
		"logs read-only":       {asRoot, "touch /alloc/logs/x 2>/dev/null || echo refused", "refused\n"},
		"nothing of the host":  {asRoot, "ls /", "alloc\nbin\ndev\netc\nlib\nlib64\nlocal\nproc\nsbin\nsecrets\nsys\ntmp\nusr\n"},
		"private is hidden":    {asRoot, "ls -d /private 2>/dev/null || echo none", "none\n"},
		"devices":              {nil, "echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; ls /dev | tr '\\n' ' '", "3\n5\nfd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "},
		"no new devices":       {asRoot, "for d in /tmp /local /dev/shm; do mknod $d/disk b 8 0 && head -c 1 $d/disk 2>&1 | grep -o 'Permission denied'; done", "Permission denied\nPermission denied\nPermission denied\n"},
		"no set-uid":           {nil, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n"},
		"capabilities":         {asRoot, "grep Cap /proc/self/status | tr -d '\\n'", "CapInh:\t00000000a80405fbCapPrm:\t00000000a80405fbCapEff:\t00000000a80405fbCapBnd:\t00000000a80405fbCapAmb:\t00000000a80405fb"},
		"shadow is hidden":     {asRoot, "wc -c </etc/shadow", "0\n"},
		"kernel is read-only":  {asRoot, "echo 1 2>/dev/null >/proc/sys/kernel/panic || echo refused; echo x 2>/dev/null >/proc/sysrq-trigger || echo refused", "refused\nrefused\n"},
		"work dir":             {nil, "pwd", "/\n"},
		"shared memory":        {nil, "echo x >/dev/shm/x && cat /dev/shm/x", "x\n"},
		"no file is inherited": {nil, "ls /proc/self/fd | wc -l", "4\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if out := run(t, n, c.change, c.script); out != c.want {
				t.Fatalf("got\n%s\nwant\n%s", out, c.want)
			}
		})
	}
}

// What a task writes is in the allocation's directories, and its root takes no
// space: nothing was copied.
func TestNothingIsCopied(t *testing.T) {
	n := newNode(t)
	task := n.Task(shell("echo data >/alloc/data/f; echo up; exec sleep 1000"))
	n.Start(task)
	n.Output(task, "up")
	if text, err := os.ReadFile(filepath.Join(n.AllocDir, "alloc/data/f")); err != nil || string(text) != "data\n" {
		t.Fatalf("%q %v", text, err)
	}
	var size int64
	filepath.Walk(task.TaskDir(), func(_ string, st os.FileInfo, err error) error {
		if err == nil && st.Mode().IsRegular() {
			size += st.Size()
		}
		return nil
	})
	if size > 1<<10 {
		t.Fatalf("the task's directory holds %d bytes", size)
	}
}

func TestVolumesAndDevices(t *testing.T) {
	n := newNode(t)
	volume := t.TempDir()
	os.Chmod(volume, 0o777)
	os.WriteFile(filepath.Join(volume, "in"), []byte("from outside\n"), 0o644)
	out := run(t, n, func(c *driver.TaskConfig) {
		c.User = "root"
		c.Mounts = []driver.Mount{
			{TaskPath: "/srv/data", HostPath: volume},
			{TaskPath: "/srv/data/ro", HostPath: "/etc/apt", Readonly: true},
		}
		c.Devices = []driver.Device{{HostPath: "/dev/kmsg", TaskPath: "/dev/log0"}}
		os.Mkdir(filepath.Join(volume, "ro"), 0o755)
		c.DNS = &driver.DNS{Servers: []string{"192.0.2.1"}, Searches: []string{"example"}}
	}, "cat /srv/data/in; echo back >/srv/data/out; touch /srv/data/ro/x 2>/dev/null || echo refused; test -c /dev/log0 && echo device; cat /etc/resolv.conf")
	if want := "from outside\nrefused\ndevice\nnameserver 192.0.2.1\nsearch example\n"; out != want {
		t.Fatalf("got\n%s\nwant\n%s", out, want)
	}
	if text, _ := os.ReadFile(filepath.Join(volume, "out")); string(text) != "back\n" {
		t.Fatalf("volume holds %q", text)
	}
}

// A task opens the devices it was given, as it was allowed to, and no others.
func TestDevicePermissions(t *testing.T) {
	n := newNode(t)
	out := run(t, n, func(c *driver.TaskConfig) {
		c.User = "root"
		c.Devices = []driver.Device{{HostPath: "/dev/loop-control", TaskPath: "/dev/log0", Permissions: "r"}}
	}, "(: </dev/log0) && echo read; (: >/dev/log0) 2>&1 | grep -o 'Operation not permitted'; echo x >/dev/null && (: </dev/tty) 2>&1 | grep -o 'No such device'")
	if want := "read\nOperation not permitted\nNo such device\n"; out != want {
		t.Fatalf("got\n%s\nwant\n%s", out, want)
	}
	task := n.Task(shell("true"))
	task.Devices = []driver.Device{{HostPath: "/dev/null", Permissions: "rx"}}
	if _, err := n.Driver().StartTask(t.Context(), task); err == nil || !strings.Contains(err.Error(), `permissions "rx"`) {
		t.Fatalf("start with unknown permissions: %v", err)
	}
}

// What the host's directories lack is shown beside what they have, at any depth, and what the host hides stays hidden.
func TestMountInsideReadOnlyDirectory(t *testing.T) {
	n := newNode(t)
	volume, shown := t.TempDir(), t.TempDir()
	os.Chmod(volume, 0o777)
	os.Chmod(shown, 0o755)
	os.WriteFile(filepath.Join(volume, "in"), []byte("inside\n"), 0o644)
	os.Mkdir(filepath.Join(shown, "there"), 0o750)
	_, before := os.Stat("/etc/drover-test-files")
	out := run(t, n, func(c *driver.TaskConfig) {
		c.User = "root"
		c.Mounts = []driver.Mount{
			{TaskPath: "/etc/drover-test-files", HostPath: volume},
			{TaskPath: "/etc/apt/drover/deep", HostPath: volume, Readonly: true},
			{TaskPath: "/usr/share/drover-test-file", HostPath: filepath.Join(volume, "in")},
			{TaskPath: "/srv/shown", HostPath: shown, Readonly: true},
			{TaskPath: "/srv/shown/there/more", HostPath: volume},
		}
	}, `cat /etc/drover-test-files/in /etc/apt/drover/deep/in /usr/share/drover-test-file /srv/shown/there/more/in
test -s /etc/passwd && test -s /etc/apt/sources.list -o -d /etc/apt/sources.list.d && echo host
stat -c %a /srv/shown/there
echo x >/etc/drover-test-files/out && echo written
touch /etc/x /etc/apt/x /etc/apt/drover/x /etc/apt/drover/deep/x /srv/shown/x 2>&1 | grep -c 'Read-only'
wc -c </etc/shadow
command -v env`)
	if want := "inside\ninside\ninside\ninside\nhost\n750\nwritten\n5\n0\n/usr/bin/env\n"; out != want {
		t.Fatalf("got\n%s\nwant\n%s", out, want)
	}
	if _, now := os.Stat("/etc/drover-test-files"); !os.IsNotExist(before) || !os.IsNotExist(now) {
		t.Fatalf("the host's /etc: before %v, now %v", before, now)
	}
	if text, _ := os.ReadFile(filepath.Join(volume, "out")); string(text) != "x\n" {
		t.Fatalf("volume holds %q", text)
	}
}

// A job's directories are its own to fill: a link in them must not lead a
// mount, or the driver, to the host.
func TestLinksDoNotEscape(t *testing.T) {
	n := newNode(t)
	target := t.TempDir()
	task := n.Task(shell("ls /local/link"))
	os.Symlink(target, filepath.Join(task.LocalDir(), "link"))
	os.WriteFile(filepath.Join(task.LocalDir(), "prog"), []byte("x"), 0o644)
	task.Mounts = []driver.Mount{{TaskPath: "/local/link/sub", HostPath: "/etc"}}
	if _, err := n.Driver().StartTask(t.Context(), task); err == nil {
		n.Driver().DestroyTask(t.Context(), task.ID, true)
		t.Error("mounted through a link that leads nowhere inside")
	}
	if left, _ := os.ReadDir(target); len(left) != 0 {
		t.Fatalf("host directory was written to: %v", left)
	}
	out := n.Task(map[string]any{"command": "evil"})
	os.Symlink("/etc/passwd", filepath.Join(out.TaskDir(), "evil"))
	if _, err := n.Driver().StartTask(t.Context(), out); err == nil {
		n.Driver().DestroyTask(t.Context(), out.ID, true)
		t.Error("ran a link")
	}
}

func TestRefusals(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	n := drivertest.New(t, Name, map[string]any{"denied_host_uids": "1"})
	outside := t.TempDir()
	for name, c := range map[string]struct {
		config map[string]any
		change func(*driver.TaskConfig)
		want   string
	}{
		"missing":            {map[string]any{"command": "/no/such/program"}, nil, "/no/such/program"},
		"missing name":       {map[string]any{"command": "no-such-program"}, nil, "/usr/local/bin/no-such-program"},
		"outside":            {map[string]any{"command": "/elsewhere/x"}, nil, "not found in the task's root"},
		"capability":         {map[string]any{"command": "/bin/true", "cap_add": []any{"sys_admin"}}, nil, "allow_caps"},
		"unknown capability": {map[string]any{"command": "/bin/true", "cap_add": []any{"fly"}}, nil, "fly"},
		"pid mode":           {map[string]any{"command": "/bin/true", "pid_mode": "shared"}, nil, "pid_mode"},
		"work dir":           {map[string]any{"command": "/bin/true", "work_dir": "/no/dir"}, nil, "/no/dir"},
		"user":               {map[string]any{"command": "/bin/true"}, func(c *driver.TaskConfig) { c.User = "nobody-knows" }, "does not exist"},
		"volume":             {map[string]any{"command": "/bin/true"}, func(c *driver.TaskConfig) { c.Mounts = []driver.Mount{{TaskPath: "/x", HostPath: "/no/volume"}} }, "/no/volume"},
		"not executable":     {map[string]any{"command": "/etc/passwd"}, nil, "command /etc/passwd is not executable"},
		"mount over all":     {map[string]any{"command": "/bin/true"}, func(c *driver.TaskConfig) { c.Mounts = []driver.Mount{{TaskPath: "/", HostPath: "/etc"}} }, "is the root"},
		"propagation": {map[string]any{"command": "/bin/true"}, func(c *driver.TaskConfig) {
			c.Mounts = []driver.Mount{{TaskPath: "/x", HostPath: "/etc", Propagation: "up"}}
		}, "propagation mode"},
		"mount over a file": {map[string]any{"command": "/bin/true"}, func(c *driver.TaskConfig) { c.Mounts = []driver.Mount{{TaskPath: "/etc/passwd/x", HostPath: "/etc"}} }, "/etc/passwd/x"},
		"missing device":    {map[string]any{"command": "/bin/true"}, func(c *driver.TaskConfig) { c.Devices = []driver.Device{{HostPath: "/dev/none"}} }, "/dev/none"},
		"network":           {map[string]any{"command": "/bin/true"}, func(c *driver.TaskConfig) { c.Network = &driver.NetworkIsolation{Path: "/no/netns"} }, "/no/netns"},
		"core":              {map[string]any{"command": "/bin/true"}, func(c *driver.TaskConfig) { c.Resources.Linux.CpusetCpus = "999" }, "cpuset"},
		"corrupt program":   {map[string]any{"command": "corrupt"}, nil, "/local/corrupt: exec format error (neither"},
		"no interpreter":    {map[string]any{"command": "script"}, nil, "/local/script: no such file or directory (the file, or the interpreter"},
		"not for this user": {map[string]any{"command": "/local/mine", "cap_drop": []any{"all"}}, nil, "/local/mine: permission denied (the task's user may not"},
		"directory":         {map[string]any{"command": "/usr"}, nil, "not found in the task's root"},
		"link out":          {map[string]any{"command": "/local/out/id"}, nil, "not found in the task's root"},
		"work dir link":     {map[string]any{"command": "/bin/true", "work_dir": "/local/out"}, nil, "/local/out: no such file"},
		"work dir a file":   {map[string]any{"command": "/bin/true", "work_dir": "/etc/passwd"}, nil, "/etc/passwd: not a directory"},
		"relative work dir": {map[string]any{"command": "/bin/true", "work_dir": "local"}, nil, "work_dir"},
		"denied user":       {map[string]any{"command": "/bin/true"}, func(c *driver.TaskConfig) { c.User = "daemon" }, "denied_host_uids"},
		"volume over /proc": {map[string]any{"command": "/bin/true"}, func(c *driver.TaskConfig) { c.Mounts = []driver.Mount{{TaskPath: "/proc/x", HostPath: "/etc"}} }, "/proc/x"},
	} {
		t.Run(name, func(t *testing.T) {
			task := n.Task(c.config)
			for file, text := range map[string]string{"corrupt": "\x7fELF, but no more", "script": "#!/no/such/shell\n", "mine": "#!/bin/sh\n"} {
				if err := os.WriteFile(filepath.Join(task.LocalDir(), file), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.Chmod(filepath.Join(task.LocalDir(), "mine"), 0o700), os.Symlink(outside, filepath.Join(task.LocalDir(), "out"))); err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(task)
			}
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

func TestLimits(t *testing.T) {
	n := newNode(t)
	host, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	task := n.Task(shell("echo up; exec sleep 1000"))
	task.Resources.MemoryMB, task.Resources.MemoryMaxMB, task.Resources.CPUShares = 32, 48, 512
	task.Resources.Linux.CpusetCpus = "0"
	n.Start(task)
	n.Output(task, "up")
	name := strings.ReplaceAll(task.ID, "/", ".")
	want := map[string]string{"memory.max": "50331648", "memory.low": "33554432", "cpuset.cpus": "0"}
	dir := func(string) string { return filepath.Join(host.Unified, cgroup.Parent, name) }
	if len(host.V1) > 0 {
		want = map[string]string{"memory.limit_in_bytes": "50331648", "memory.soft_limit_in_bytes": "33554432", "cpu.shares": "512", "cpuset.cpus": "0"}
		dir = func(file string) string {
			controller, _, _ := strings.Cut(file, ".")
			return filepath.Join(host.V1[controller], cgroup.Parent, name)
		}
	}
	for file, value := range want {
		text, err := os.ReadFile(filepath.Join(dir(file), file))
		if got := strings.TrimSpace(string(text)); err != nil || got != value {
			t.Errorf("%s = %q %v, want %s", file, got, err, value)
		}
		procs, _ := os.ReadFile(filepath.Join(dir(file), "cgroup.procs"))
		if strings.TrimSpace(string(procs)) != fmt.Sprint(n.PID(task)) {
			t.Errorf("processes in %s: %q, want %d", dir(file), procs, n.PID(task))
		}
	}
}

func TestOutOfMemory(t *testing.T) {
	n := newNode(t)
	for name, script := range map[string]string{
		"itself":  "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo done",
		"a child": "head -c 200000000 /dev/zero | tr '\\0' '\\n' | sort -S 1G >/dev/null; exit $?",
	} {
		t.Run(name, func(t *testing.T) {
			task := n.Task(shell(script))
			task.Resources.MemoryMB = 20
			if exit, out := n.Run(task); !exit.OOMKilled || exit.ExitCode == 0 || exit.Err != "" {
				t.Fatalf("exit %+v: %.300s", exit, out)
			}
		})
	}
	t.Run("not out of memory", func(t *testing.T) {
		if exit, out := n.Run(n.Task(shell("exit 137"))); exit.OOMKilled {
			t.Fatalf("exit %+v: %s", exit, out)
		}
	})
}

// A child that the kernel kills for want of memory is told by an event at once, also after the plugin was replaced; a task
// that ends of it is told by its exit alone.
func TestChildOutOfMemory(t *testing.T) {
	n := newNode(t)
	const hungry = "(x=$(head -c 200000000 /dev/zero | tr '\\0' x)); echo starved; "
	type told struct {
		driver.TaskEvent
		at time.Time
	}
	events := make(chan told, 16)
	listen := func() {
		d := n.Driver()
		go d.TaskEvents(t.Context(), func(e driver.TaskEvent) error {
			events <- told{e, time.Now()}
			return nil
		})
	}
	expect := func(task *driver.TaskConfig, since time.Time) {
		t.Helper()
		select {
		case e := <-events:
			if e.TaskID != task.ID || !strings.Contains(e.Message, "Out of memory: the kernel killed") || strings.Contains(e.Message, "machine") || e.Annotations["oom_kills"] == "" {
				t.Errorf("event %+v", e)
			}
			// The second that users are promised, and as much again for a busy machine.
			if took := e.at.Sub(since); took > 2*time.Second {
				t.Errorf("told after %s", took)
			}
		case <-time.After(20 * time.Second):
			t.Error("no event")
		}
	}
	listen()
	task := n.Task(shell("trap '' USR1; read x </local/go; " + hungry + "read x </local/go; " + hungry + "exec sleep 1000"))
	task.Resources.MemoryMB = 20
	gate := filepath.Join(task.LocalDir(), "go")
	if err := syscall.Mkfifo(gate, 0o666); err != nil {
		t.Fatal(err)
	}
	os.Chmod(gate, 0o666)
	open := func() {
		t.Helper()
		if err := os.WriteFile(gate, []byte("\n"), 0); err != nil {
			t.Fatal(err)
		}
	}
	handle := n.Start(task)
	open()
	n.Output(task, "starved")
	expect(task, time.Now())
	n.Kill()
	n.Launch()
	if err := n.Driver().RecoverTask(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	listen()
	open()
	n.Output(task, "starved\nstarved")
	expect(task, time.Now())

	last := n.Task(shell(strings.TrimSuffix(hungry, "; echo starved; ") + "; exit $?"))
	last.Resources.MemoryMB = 20
	began := time.Now()
	exit, out := n.Run(last)
	ended := time.Now()
	if !exit.OOMKilled {
		t.Errorf("exit %+v: %s", exit, out)
	}
	select {
	case e := <-events:
		// On a machine so busy that the shell outlives its child for longer than the driver waits, it did go on.
		const wait = 300 * time.Millisecond
		if e.TaskID != last.ID || e.Timestamp.Sub(began) < wait || e.Timestamp.After(ended) {
			t.Errorf("event %+v, task from %s to %s", e, began, ended)
		}
	case <-time.After(time.Second):
	}
}

// The kernel drops a signal that the first process of a pid namespace does not
// handle; a stop must not take the whole timeout for that.
func TestStopWithoutHandler(t *testing.T) {
	n := newNode(t)
	task := n.Task(map[string]any{"command": "sleep", "args": []any{"1000"}})
	n.Start(task)
	began := time.Now()
	if err := n.Driver().StopTask(t.Context(), task.ID, 20*time.Second, ""); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Fatalf("stop took %s", took)
	}
	handled := n.Task(shell("trap 'exit 5' INT; echo up; while :; do sleep 0.02; done"))
	n.Start(handled)
	n.Output(handled, "up")
	if err := n.Driver().StopTask(t.Context(), handled.ID, 20*time.Second, ""); err != nil {
		t.Fatal(err)
	}
	if exit := n.Wait(handled); exit.ExitCode != 5 {
		t.Fatalf("exit %+v", exit)
	}
}

func TestRecovery(t *testing.T) {
	n := newNode(t)
	gate := filepath.Join(n.AllocDir, "alloc/data/gate")
	syscall.Mkfifo(gate, 0o666)
	os.Chmod(gate, 0o666)
	task := n.Task(shell("echo up; read x </alloc/data/gate; exit 17"))
	h := n.Start(task)
	n.Output(task, "up")
	pid := n.PID(task)
	n.Kill()
	n.Launch()
	if err := n.Driver().RecoverTask(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if got := n.PID(task); got != pid {
		t.Fatalf("task has pid %d, had %d", got, pid)
	}
	r, err := n.Driver().ExecTask(t.Context(), task.ID, []string{"sh", "-c", "echo $USER $GREETING"}, 10*time.Second)
	if err != nil || string(r.Stdout) != "nobody hello\n" {
		t.Fatalf("exec after recovery: %+v %v", r, err)
	}
	os.WriteFile(gate, []byte("x\n"), 0)
	if exit := n.Wait(task); exit.ExitCode != 17 {
		t.Fatalf("exit %+v", exit)
	}
}

func TestExec(t *testing.T) {
	n := newNode(t)
	task := n.Task(shell("echo up; exec sleep 1000"))
	n.Start(task)
	n.Output(task, "up")
	r, err := n.Driver().ExecTask(t.Context(), task.ID, []string{"sh", "-c", "id -un; cat /proc/1/comm; ls /local; touch /usr/x; grep -c . /proc/self/cgroup >/dev/null; grep NoNewPrivs /proc/self/status; exit 3"}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if want := "nobody\nsleep\nNoNewPrivs:\t1\n"; string(r.Stdout) != want || r.Exit.ExitCode != 3 || !strings.Contains(string(r.Stderr), "Read-only") {
		t.Fatalf("exec: %q %q %+v", r.Stdout, r.Stderr, r.Exit)
	}
	var out bytes.Buffer
	exit, err := n.Driver().ExecTaskStreaming(context.Background(), &driver.ExecRequest{
		TaskID: task.ID, Command: []string{"sh", "-c", "tty; test -t 1 && echo terminal; exit 4"}, TTY: true,
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: io.Discard,
	})
	if err != nil || exit.ExitCode != 4 || out.String() != "/dev/pts/0\r\nterminal\r\n" {
		t.Fatalf("terminal: %q %+v %v", out.String(), exit, err)
	}
}

func TestNetworkNamespace(t *testing.T) {
	n := newNode(t)
	name := fmt.Sprintf("drovertest%d", os.Getpid())
	if out, err := osexec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Fatalf("no network namespace can be made (package iproute2): %s", out)
	}
	defer osexec.Command("ip", "netns", "del", name).Run()
	out := run(t, n, func(c *driver.TaskConfig) {
		c.Network = &driver.NetworkIsolation{Mode: driver.NetworkGroup, Path: "/var/run/netns/" + name}
	}, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' \\n'")
	if !strings.HasPrefix(out, "lo") || strings.Contains(out, "eth") {
		t.Fatalf("interfaces: %q", out)
	}
}

func TestHostModes(t *testing.T) {
	n := newNode(t)
	config := shell("echo $$; ls -d /proc/" + fmt.Sprint(os.Getpid()))
	config["pid_mode"], config["ipc_mode"] = "host", "host"
	if exit, out := n.Run(n.Task(config)); exit.ExitCode != 0 || strings.HasPrefix(out, "1\n") {
		t.Fatalf("%+v %q", exit, out)
	}
}

// Other entries of the task's directory show at the root, as they would in a
// chroot there.
func TestTaskDirectoryEntries(t *testing.T) {
	n := newNode(t)
	task := n.Task(map[string]any{"command": "app/run"})
	os.MkdirAll(filepath.Join(task.TaskDir(), "app"), 0o755)
	os.WriteFile(filepath.Join(task.TaskDir(), "app/run"), []byte("#!/bin/sh\necho $0\n"), 0o644)
	if exit, out := n.Run(task); exit.ExitCode != 0 || out != "/app/run\n" {
		t.Fatalf("%+v %q", exit, out)
	}
}

// BenchmarkStart100 starts 100 isolated sleeps through the plugin.
func BenchmarkStart100(b *testing.B) {
	for range b.N {
		b.StopTimer()
		n := newNode(b)
		tasks := make([]*driver.TaskConfig, 100)
		for i := range tasks {
			tasks[i] = n.Task(map[string]any{"command": "/bin/sleep", "args": []any{"1000"}})
			tasks[i].StdoutPath, tasks[i].StderrPath = os.DevNull, os.DevNull
		}
		b.StartTimer()
		began := time.Now()
		for _, t := range tasks {
			n.Start(t)
		}
		b.ReportMetric(100/time.Since(began).Seconds(), "starts/s")
	}
}
