//go:build linux

package pluginhost

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Every bad file is reported with its reason, and a good plugin beside them works as if they were not there.
func TestBadFiles(t *testing.T) {
	r := newRoom(t)
	r.config.Limits.Start = 2 * time.Second
	r.config.Limits.Call = 2 * time.Second
	r.config.Limits.Launches = 16
	want := map[string]string{}
	bad := func(file, reason string) string { want[file] = reason; return file }

	r.write(bad("text", "not a program"), "shopping list\n", 0o755)
	r.write(bad("no-x-bit", "is not executable"), "#!/bin/sh\n", 0o644)
	r.write(bad("empty", "is empty"), "", 0o755)
	r.write(bad("open", "can be written by everybody"), "#!/bin/sh\n", 0o777)
	r.write(bad("wrong-format", "not a program for this machine"), "\x7fELF\x02\x01\x01 and nothing more", 0o755)
	if err := os.Symlink("/bin/true", filepath.Join(r.config.PluginDir, bad("link", "symbolic link"))); err != nil {
		t.Fatal(err)
	}
	r.script(bad("crash", "exit code 3; its stderr: I cannot"), "echo I cannot go on >&2; exit 3")
	r.script(bad("signal", "killed by signal"), "kill -SEGV $$")
	r.script(bad("not-a-plugin", `the first line on stdout was "usage: x [flags]"`), "echo 'usage: x [flags]'")
	r.script(bad("garbage", "without a line end"), "head -c 100000 /dev/zero | tr '\\0' x; sleep 60")
	r.script(bad("silent", "it is silent: no introduction within 2s"), "exec sleep 60")
	r.script(bad("old-protocol", "plugin protocol version 1, want 2"), "echo '1|1|unix|/tmp/x|grpc|'; exec sleep 60")
	r.script(bad("net-rpc", "want grpc"), "echo '1|2|unix|/tmp/x|netrpc|'; exec sleep 60")
	r.script(bad("no-socket", "no such file"), "echo '1|2|unix|/nonexistent/x|grpc|'; exec sleep 60")
	r.script(bad("wrong-cookie", "exit code 1"), "export T_ROLE=plugin NOMAD_PLUGIN_MAGIC_COOKIE=wrong; exec "+os.Args[0])
	r.script(bad("foreign-socket", "belongs to pid"), "echo '1|2|unix|"+listen(t, r)+"|grpc|'; exec sleep 60")
	r.plugin(bad("hangs", "SetConfig"), "T_NAME=hangs", "T_HANG=SetConfig")
	want["hangs"] = "deadline"
	r.plugin("test")

	h := r.start()
	started := time.Now()
	d := r.ready(h, "test")
	t.Logf("the good one took %s", time.Since(started))
	for file, reason := range want {
		s := r.until(h, file+" failed", func(s *Snapshot) bool { return info(s, file, 0).State == "failed" })
		if p := info(s, file, 0); !strings.Contains(p.Reason, reason) || p.PID != 0 {
			t.Errorf("%s: reason %q, want %q", file, p.Reason, reason)
		}
	}
	if _, err := d.StartTask(t.Context(), r.task(d, "t", nil)); err != nil {
		t.Error(err)
	}
	if _, err := h.Driver(t.Context(), "crash"); err == nil || !strings.Contains(err.Error(), "I cannot go on") {
		t.Errorf("asked for a failed driver: %v", err)
	}
}

// listen makes a socket of this process and returns its path.
func listen(t *testing.T, r *room) string {
	t.Helper()
	path := filepath.Join(r.dir, "s")
	l, err := listenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return path
}

func TestUntrustedDirectory(t *testing.T) {
	r := newRoom(t)
	r.plugin("test")
	if err := os.Chmod(r.config.PluginDir, 0o777); err != nil {
		t.Fatal(err)
	}
	h := r.start()
	// Those who miss their plugin read why in the list of plugins.
	if p := h.Plugins(); len(p) != 1 || p[0].File != r.config.PluginDir || p[0].State != "failed" || !strings.Contains(p[0].Reason, "written by everybody") {
		t.Errorf("plugins %+v", p)
	}
	// Corrected while it runs.
	if err := os.Chmod(r.config.PluginDir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.ready(h, "test")
	if p := h.Plugins(); len(p) != 1 || p[0].Name != "test" {
		t.Errorf("plugins %+v", p)
	}
}
