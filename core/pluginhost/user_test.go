//go:build linux

package pluginhost

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/droverhq/drover/core/pluginhost/process"
)

// own opens the room to other users and returns a copy of the test binary that they can run.
func (r *room) own() string {
	r.t.Helper()
	if os.Geteuid() != 0 {
		r.t.Skip("needs root")
	}
	if err := os.Chmod(r.dir, 0o711); err != nil {
		r.t.Fatal(err)
	}
	in, err := os.Open(os.Args[0])
	if err != nil {
		r.t.Fatal(err)
	}
	defer in.Close()
	path := filepath.Join(r.dir, "self")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		r.t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// status reads a line of /proc/<pid>/status.
func status(t *testing.T, pid int, field string) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			return strings.Fields(value)
		}
	}
	return nil
}

// A plugin with a user of its own works like any other: tasks, kill -9, restart of the agent.
func TestPluginWithItsOwnUser(t *testing.T) {
	r := newRoom(t)
	self := r.own()
	const nobody = "65534"
	r.config.Blocks = []Block{{Name: "test", User: nobody}}
	r.config.LogSocket = filepath.Join(r.dir, "logs.sock")
	r.script("test", "export T_ROLE=plugin T_SCRIPT=$0\nexec "+self)
	h := r.start()
	d := r.ready(h, "test")
	check := func(d *Driver) {
		t.Helper()
		for _, field := range []string{"Uid", "Gid"} {
			if got := status(t, d.Pid(), field); strings.Join(got, " ") != strings.TrimSpace(strings.Repeat(nobody+" ", 4)) {
				t.Errorf("%s %v", field, got)
			}
		}
		if caps := status(t, d.Pid(), "CapEff"); len(caps) != 1 || strings.Trim(caps[0], "0") != "" {
			t.Errorf("capabilities %v", caps)
		}
		if groups := strings.Join(status(t, d.Pid(), "Groups"), " "); groups != nobody {
			t.Errorf("groups %q", groups)
		}
	}
	check(d)
	env := h.Drivers()["test"].Attributes["driver.test.env"] + "\n"
	if !strings.Contains(env, "USER=nobody\n") || strings.Contains(env, "HOME="+os.Getenv("HOME")+"\n") || strings.Contains(env, logSocketVariable) {
		t.Errorf("environment:\n%s", env)
	}
	sockets, err := filepath.Glob(r.config.RunDir + "-u/*/1/plugin*")
	if err != nil || len(sockets) != 1 {
		t.Fatalf("sockets %v, %v", sockets, err)
	}
	for path, want := range map[string]os.FileMode{filepath.Dir(sockets[0]): 0o700, r.config.RunDir + "-u": 0o711, r.config.RunDir: 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	task := r.task(d, "t", nil)
	if _, err := d.StartTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(d.Pid(), syscall.SIGKILL)
	<-d.Done()
	again, err := h.DriverOf(t.Context(), "test", 1)
	if err != nil {
		t.Fatal(err)
	}
	check(again)
	if left, _ := filepath.Glob(r.config.RunDir + "-u/*/1/plugin*"); len(left) != 1 || left[0] == sockets[0] {
		t.Errorf("sockets after a kill: %v", left)
	}
	r.stop(h, false)
	h = r.start()
	if third := r.ready(h, "test"); third.Pid() != again.Pid() {
		t.Errorf("pid %d after the agent's restart, was %d", third.Pid(), again.Pid())
	}
	r.stop(h, true)
	if _, err := os.Stat(r.config.RunDir + "-u"); err == nil {
		t.Error("its directories are left")
	}
}

func TestUsersThatCannotBe(t *testing.T) {
	r := newRoom(t)
	self := r.own()
	r.config.Blocks = []Block{{Name: "stranger", User: "no-such-user"}, {Name: "shut-out", User: "nobody"}}
	for _, name := range []string{"stranger", "shut-out"} {
		r.script(name, "export T_ROLE=plugin T_NAME="+name+"\nexec "+self)
	}
	if err := os.Chmod(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	h := r.start()
	for name, want := range map[string]string{"stranger": "unknown user", "shut-out": `user "nobody" may not enter ` + r.dir} {
		s := r.until(h, name+" fails", func(s *Snapshot) bool { return info(s, name, 1).State == "failed" })
		if reason := info(s, name, 1).Reason; !strings.Contains(reason, want) {
			t.Errorf("%s: %q", name, reason)
		}
	}
}

// A socket of another user is not talked to, whoever's pid it has.
func TestPeerOfAnotherUser(t *testing.T) {
	r := newRoom(t)
	path := listen(t, r)
	me := process.Identity{PID: os.Getpid()}
	if err := checkPeer("unix", path, me, os.Geteuid()); err != nil {
		t.Error(err)
	}
	if err := checkPeer("unix", path, me, os.Geteuid()+1); err == nil || !strings.Contains(err.Error(), "belongs to user") {
		t.Errorf("got %v", err)
	}
}

// A plugin names its socket itself. With a user of its own it cannot make the agent remove anything else.
func TestOnlyItsOwnSocketIsRemoved(t *testing.T) {
	dir := t.TempDir()
	outside, own := filepath.Join(dir, "outside"), filepath.Join(dir, "own")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(own, 0o700))
	must(os.WriteFile(outside, nil, 0o600))
	must(os.Symlink(dir, filepath.Join(own, "way-out")))
	must(os.WriteFile(filepath.Join(own, "socket"), nil, 0o600))
	for _, addr := range []string{outside, filepath.Join(own, "..", "outside"), filepath.Join(own, "way-out", "outside"), filepath.Join(own, "socket")} {
		(&connection{network: "unix", addr: addr, confined: own}).removeSocket()
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error("a file outside was removed")
	}
	if _, err := os.Stat(filepath.Join(own, "socket")); err == nil {
		t.Error("its socket is left")
	}
}
