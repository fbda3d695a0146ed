package exec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/drivers-exec/drivertest"
	"github.com/droverhq/drover/sdk/driver"
)

// A task's system calls are filtered, also those of a command that is run in it later.
func TestSystemCallsAreFiltered(t *testing.T) {
	n := newNode(t)
	for name, c := range map[string]struct{ script, want string }{
		"filter":              {"grep -E '^Seccomp:' /proc/self/status", "Seccomp:\t2\n"},
		"no user namespace":   {"unshare -U true 2>&1 | grep -o 'not permitted'", "not permitted\n"},
		"no mount":            {"mount -t tmpfs x /tmp 2>&1 | grep -o 'denied\\|not permitted' | head -1", "denied\n"},
		"threads":             {"if command -v python3 >/dev/null; then python3 -c 'import threading; t=threading.Thread(target=print, args=(1,)); t.start(); t.join()'; else echo 1; fi", "1\n"},
		"pipes and processes": {"seq 5 | sort -r | head -1; (sleep 0.01; echo done) & wait", "5\ndone\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if out := run(t, n, asRoot, c.script); out != c.want && !(name == "no mount" && out == "not permitted\n") {
				t.Fatalf("got\n%s\nwant\n%s", out, c.want)
			}
		})
	}
	t.Run("exec", func(t *testing.T) {
		task := n.Task(shell("echo up; exec sleep 1000"))
		n.Start(task)
		n.Output(task, "up")
		got, err := n.Driver().ExecTask(t.Context(), task.ID, []string{"/bin/grep", "-E", "^Seccomp:", "/proc/self/status"}, 20*time.Second)
		if err != nil || string(got.Stdout) != "Seccomp:\t2\n" {
			t.Fatalf("%+v %v", got, err)
		}
	})
	t.Run("switched off", func(t *testing.T) {
		off := drivertest.New(t, Name, map[string]any{"seccomp": false})
		if out := run(t, off, nil, "grep -E '^Seccomp:' /proc/self/status"); out != "Seccomp:\t0\n" {
			t.Fatal(out)
		}
	})
}

// With Landlock or without it, a task writes where it may; its standard files can be opened again.
func TestWritingIsConfined(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const script = `for d in alloc local secrets tmp dev/shm; do echo x >/$d/f && mv /$d/f /$d/g && mkdir /$d/h && mv /$d/g /$d/h/ && cat /$d/h/g; rm -r /$d/h; done
echo again >/dev/stdout; echo x >/dev/null; echo 0 >/proc/self/oom_score_adj; ln -s x /tmp/l; mkfifo /tmp/p; : >/local/t; truncate -s 10 /local/t; wc -c </local/t
for f in /x /etc/x /usr/x /sys/x; do touch $f 2>/dev/null && echo $f; done; true`
	const want = "x\nx\nx\nx\nx\nagain\n10\n"
	for name, config := range map[string]map[string]any{"with": {}, "without": {"landlock": false}} {
		t.Run(name, func(t *testing.T) {
			n := drivertest.New(t, Name, config)
			for _, who := range []func(*driver.TaskConfig){nil, asRoot} {
				if out := run(t, n, who, script); out != want {
					t.Errorf("got\n%s\nwant\n%s", out, want)
				}
			}
		})
	}
}

// Capabilities open no file of the host's configuration that the task's user could not read on the host.
func TestHostSecretsAreHidden(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	etc := t.TempDir()
	write := func(name string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(etc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("text of "+name+"\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("passwd", 0o644)
	write("ssh/host_key", 0o600)
	write("ssh/host_key.pub", 0o644)
	write("ssl/private/key", 0o644)
	write("mine", 0o640)
	if err := os.Chmod(filepath.Join(etc, "ssl/private"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(etc, "mine"), 0, 65534); err != nil { // nogroup, nobody's group
		t.Fatal(err)
	}
	n := drivertest.New(t, Name, map[string]any{"chroot_env": map[string]any{"/bin": "/bin", "/usr": "/usr", "/lib": "/lib", "/lib64": "/lib64", etc: "/etc"}})
	const script = "cd /etc; cat passwd ssh/host_key ssh/host_key.pub; ls ssl/private; cat mine"
	if out := run(t, n, nil, script); out != "text of passwd\ntext of ssh/host_key.pub\ntext of mine\n" {
		t.Errorf("nobody sees\n%s", out)
	}
	if out := run(t, n, asRoot, script); out != "text of passwd\ntext of ssh/host_key.pub\n" {
		t.Errorf("root sees\n%s", out)
	}
}

// The number of a task's processes is bounded, and the task next to it does not notice.
func TestForkBomb(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	n := drivertest.New(t, Name, map[string]any{"pids_limit": 20})
	task := n.Task(map[string]any{"command": "/bin/bash", "args": []any{"-c", "i=0; while [ $i -lt 60 ]; do sleep 1000 & i=$((i+1)); done 2>&1; echo end"}})
	n.Start(task)
	out := n.Output(task, "temporarily unavailable")
	if !strings.Contains(out, "fork") {
		t.Errorf("printed %q", out)
	}
	if out := run(t, n, nil, "echo fine"); out != "fine\n" {
		t.Errorf("the task beside it printed %q", out)
	}
	_ = n.Driver().StopTask(t.Context(), task.ID, 0, "")
}

func TestFingerprintSaysHowTasksAreHeld(t *testing.T) {
	f, err := New(nil, nil).Fingerprint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 && (f.Health != driver.Healthy || f.Attributes["driver.exec.seccomp"].Format() != "true") {
		t.Errorf("%+v", f)
	}
}

// Without a plugin block the options have their defaults all the same.
func TestDefaults(t *testing.T) {
	c := New(nil, nil).configured()
	if c.PIDsLimit != 16384 || !c.Seccomp || !c.Landlock || c.DefaultPIDMode != "private" || c.DefaultIPCMode != "private" || len(c.AllowCaps) == 0 || len(c.ChrootEnv) == 0 {
		t.Errorf("without a block: %+v", c.pluginConfig)
	}
}

func TestCheckConfig(t *testing.T) {
	for want, c := range map[string]taskConfig{
		"":         {Command: "x", PIDMode: "host", IPCMode: "private", CapAdd: []string{"CAP_KILL"}, WorkDir: "/local"},
		"pid_mode": {PIDMode: "shared"},
		"ipc_mode": {IPCMode: "shareable"},
		"cap_add":  {CapAdd: []string{"fly"}},
		"cap_drop": {CapDrop: []string{"fly"}},
		"work_dir": {WorkDir: "local"},
	} {
		found := New(nil, nil).CheckConfig(t.Context(), c)
		if want == "" && len(found) == 0 {
			continue
		}
		if len(found) != 1 || found[0].Path != want {
			t.Errorf("found %v, want %q", found, want)
		}
	}
}
