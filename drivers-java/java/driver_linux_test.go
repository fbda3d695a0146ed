package java

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/drivers-exec/drivertest"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

func TestMain(m *testing.M) {
	drivertest.Main(m, Name, func() {
		plugin.Serve(Plugin(New(plugin.NewLogger(Name), nil), "0.1.0"))
	})
}

func newNode(t *testing.T) *drivertest.Node {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	return drivertest.New(t, Name, map[string]any{})
}

// jar builds the test's program with everything it needs in one file.
func jar(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := osexec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	run("javac", "-d", dir, "testdata/src/App.java")
	if err := os.WriteFile(filepath.Join(dir, "page.txt"), []byte("from the jar\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "app.jar")
	run("jar", "cfe", path, "App", "-C", dir, ".")
	return path
}

// app makes a task with the program in its local directory.
func app(n *drivertest.Node, jar string, config map[string]any) *driver.TaskConfig {
	n.Helper()
	task := n.Task(config)
	task.Resources.MemoryMB = 256
	data, err := os.ReadFile(jar)
	if err == nil {
		err = os.WriteFile(filepath.Join(task.LocalDir(), "app.jar"), data, 0o644)
	}
	if err != nil {
		n.Fatal(err)
	}
	return task
}

func TestServesUntilStopped(t *testing.T) {
	n := newNode(t)
	task := app(n, jar(t), map[string]any{
		"jar_path": "local/app.jar", "jvm_options": []any{"-Dset=yes"}, "args": []any{"a", "b"},
	})
	h := n.Start(task)
	out := n.Output(task, "listening on ")
	if want := "args=a,b greeting=hello user=nobody dir=/ set=yes\n"; !strings.HasPrefix(out, want) {
		t.Errorf("got %q, want %q", out, want)
	}
	get := func() {
		t.Helper()
		_, port, _ := strings.Cut(strings.TrimSpace(n.Output(task, "listening on ")), "listening on ")
		resp, err := http.Get("http://127.0.0.1:" + port)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "from the jar\n" {
			t.Fatalf("%q %v", text, err)
		}
	}
	get()
	pid := n.PID(task)
	n.Kill()
	n.Launch()
	if err := n.Driver().RecoverTask(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if got := n.PID(task); got != pid {
		t.Fatalf("task has pid %d, had %d", got, pid)
	}
	get()
	// Both work although few drivers' flags promise so much.
	r, err := n.Driver().ExecTask(t.Context(), task.ID, []string{"sh", "-c", "cat /proc/1/comm; id -un"}, 10*time.Second)
	if err != nil || string(r.Stdout) != "java\nnobody\n" {
		t.Errorf("exec: %+v %v", r, err)
	}
	if err := n.Driver().StopTask(t.Context(), task.ID, 20*time.Second, ""); err != nil {
		t.Fatal(err)
	}
	if exit := n.Wait(task); exit.ExitCode != 130 || exit.Signal != 0 {
		t.Errorf("exit %+v, want the JVM's own 130", exit)
	}
	if out := n.Drained(task); !strings.HasSuffix(out, "shutdown hook ran\n") {
		t.Errorf("no shutdown hook ran: %q", out)
	}
}

// The heap follows the task's limit, not the machine's memory, and the job has
// the last word.
func TestHeap(t *testing.T) {
	n := newNode(t)
	file := jar(t)
	for name, c := range map[string]struct {
		options []any
		max     int64
		want    [2]int // bounds in MiB
	}{
		"quarter of the limit": {nil, 0, [2]int{120, 130}}, // 512 / 4
		"part of the limit":    {[]any{"-XX:MaxRAMPercentage=50"}, 0, [2]int{245, 260}},
		"as the job says":      {[]any{"-Xmx200m"}, 0, [2]int{190, 200}},
		"memory_max":           {nil, 1024, [2]int{245, 260}},
	} {
		t.Run(name, func(t *testing.T) {
			task := app(n, file, map[string]any{"class_path": "/local/app.jar", "class": "App", "args": []any{"once"}, "jvm_options": c.options})
			task.Resources.MemoryMB, task.Resources.MemoryMaxMB = 512, c.max
			exit, out := n.Run(task)
			if exit.ExitCode != 7 {
				t.Fatalf("exit %+v: %s", exit, out)
			}
			var heap int
			_, text, _ := strings.Cut(out, "heap=")
			if _, err := fmt.Sscanf(text, "%dm", &heap); err != nil || heap < c.want[0] || heap > c.want[1] {
				t.Fatalf("heap of %d MiB, want %v: %v", heap, c.want, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	n := newNode(t)
	file := jar(t)
	for name, c := range map[string]struct {
		config map[string]any
		change func(*driver.TaskConfig)
		want   string
	}{
		"nothing to run":    {map[string]any{}, nil, "one of jar_path and class"},
		"missing jar":       {map[string]any{"jar_path": "local/none.jar"}, nil, "there is no file /local/none.jar"},
		"missing, absolute": {map[string]any{"jar_path": "/usr/none.jar"}, nil, "there is no file /usr/none.jar"},
		"jar elsewhere":     {map[string]any{"jar_path": file}, nil, "there is no file"},
		"cut short":         {map[string]any{"jar_path": "local/short.jar"}, nil, "/local/short.jar, 100 bytes, is no jar or a corrupt one"},
		"another kind":      {map[string]any{"jar_path": "local/page.html"}, nil, "is no jar or a corrupt one"},
		"empty":             {map[string]any{"jar_path": "local/empty.jar"}, nil, "/local/empty.jar, 0 bytes, is no jar"},
		"FIFO":              {map[string]any{"jar_path": "local/fifo.jar"}, nil, "is no file"},
		"directory":         {map[string]any{"jar_path": "local"}, nil, "directory"},
		"capability":        {map[string]any{"jar_path": "local/app.jar", "cap_add": []any{"sys_admin"}}, nil, "allow_caps"},
		"pid mode":          {map[string]any{"jar_path": "local/app.jar", "pid_mode": "shared"}, nil, "pid_mode"},
		"work dir":          {map[string]any{"jar_path": "local/app.jar", "work_dir": "local"}, nil, "work_dir"},
		"mount":             {map[string]any{"jar_path": "local/app.jar"}, func(c *driver.TaskConfig) { c.Mounts = []driver.Mount{{TaskPath: "/x", HostPath: "/no/volume"}} }, "/no/volume"},
		"user":              {map[string]any{"jar_path": "local/app.jar"}, func(c *driver.TaskConfig) { c.User = "nobody-knows" }, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			task := app(n, file, c.config)
			spoil(t, task.LocalDir(), file)
			if c.change != nil {
				c.change(task)
			}
			_, err := n.Driver().StartTask(t.Context(), task)
			if err == nil {
				n.Driver().DestroyTask(t.Context(), task.ID, true)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("start: %v, want %q", err, c.want)
			}
			if err := n.Driver().DestroyTask(t.Context(), task.ID, true); !errors.Is(err, host.ErrTaskNotFound) {
				t.Errorf("the driver still knows the task: %v", err)
			}
		})
	}
}

// spoil writes files that are no jars.
func spoil(t *testing.T, dir, jar string) {
	t.Helper()
	good, err := os.ReadFile(jar)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"short.jar": good[:100], "page.html": []byte("<html>not found</html>"), "empty.jar": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo.jar"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A link of the job's that leads out of what the task sees leads nowhere, and the JVM says so.
func TestLinksDoNotEscape(t *testing.T) {
	n := newNode(t)
	file := jar(t)
	for name, target := range map[string]string{"absolute": filepath.Dir(file), "relative": "../../../../../../../.." + filepath.Dir(file)} {
		t.Run(name, func(t *testing.T) {
			task := app(n, file, map[string]any{"jar_path": "local/out/app.jar"})
			if err := os.Symlink(target, filepath.Join(task.LocalDir(), "out")); err != nil {
				t.Fatal(err)
			}
			if exit, out := n.Run(task); exit.ExitCode != 1 || strings.Contains(out, "listening") {
				t.Errorf("exit %+v: %s", exit, out)
			}
		})
	}
}

// A Java outside of what tasks see is found and explained.
func TestJavaOutsideTheRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	n := drivertest.New(t, Name, map[string]any{"chroot_env": map[string]any{"/etc": "/etc"}})
	_, err := n.Driver().StartTask(t.Context(), app(n, jar(t), map[string]any{"jar_path": "local/app.jar"}))
	if err == nil || !strings.Contains(err.Error(), "chroot_env") {
		t.Fatalf("start: %v", err)
	}
}

func TestFingerprint(t *testing.T) {
	n := newNode(t)
	stop := fmt.Errorf("seen")
	err := n.Driver().Fingerprint(t.Context(), func(f driver.Fingerprint) error {
		if f.Health != driver.Healthy {
			t.Errorf("%+v", f)
		}
		for _, name := range []string{"driver.java", "driver.java.version", "driver.java.runtime", "driver.java.vm"} {
			if f.Attributes[name].Format() == "" {
				t.Errorf("attribute %s is missing: %+v", name, f.Attributes)
			}
		}
		return stop
	})
	if err != stop {
		t.Fatal(err)
	}
	c, err := n.Driver().Capabilities(t.Context())
	if err != nil || c.FSIsolation != driver.FSChroot || c.NoMounts {
		t.Fatalf("%+v %v", c, err)
	}
}
