//go:build linux

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/core/config"
	"github.com/droverhq/drover/sdk/conformance"
)

// hello builds the example driver.
func hello(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "drover-driver-hello")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/droverhq/drover/sdk/examples/hello").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func jobFileOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "task.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// local runs a command that needs no agent.
func local(t *testing.T, ctx context.Context, stdout io.Writer, args ...string) (code int, stderr string) {
	t.Helper()
	var errs bytes.Buffer
	code = Run(ctx, Env{Args: args, Stdin: strings.NewReader(""), Stdout: stdout, Stderr: &errs, Version: "1.2.3"})
	return code, errs.String()
}

const greet = `
task "greet" {
  driver = "hello"

  config {
    command = "sh"
    args    = ["-c", "echo hello $WHO in ${NOMAD_TASK_NAME} at $DROVER_PORT_http; echo oops >&2; exit 5"]
  }

  env {
    WHO = "world"
  }
}
`

func TestPluginRun(t *testing.T) {
	driver := hello(t)
	t.Setenv("TMPDIR", t.TempDir())
	job := "job \"j\" {\n group \"g\" {\n network {\n port \"http\" {\n static = 4711\n }\n }\n task \"first\" {\n driver = \"other\"\n config {\n command = \"true\"\n }\n }\n" + greet + "}\n}\n"
	for name, tc := range map[string]struct {
		text string
		args []string
		code int
		out  string
		err  string
	}{
		"a task block":           {text: greet, code: 5, out: "hello world in greet at\n"},
		"a task of a job":        {text: job, args: []string{"-task", "greet"}, code: 5, out: "hello world in greet at 4711\n"},
		"another driver's task":  {text: job, code: 0, err: `wants driver "other", this is "hello"`},
		"a misspelt config key":  {text: strings.Replace(greet, "args ", "arg ", 1), code: 1, err: `"arg"`},
		"a misspelt block":       {text: strings.Replace(greet, "env {", "enw {", 1), code: 1, err: `:10:3: task "greet": unknown block "enw"`},
		"no such task":           {text: greet, args: []string{"-task", "x"}, code: 1, err: `no task named "x"`},
		"a config it cannot use": {text: greet, args: []string{"-config", jobFileOf(t, "plugin \"p\" {\n config {\n a = 1\n }\n}\n")}, code: 1, err: "takes no configuration"},
		"no task":                {text: "x = 1", code: 1, err: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code, errs := local(t, t.Context(), &out, append([]string{"plugin", "run", driver, jobFileOf(t, tc.text)}, tc.args...)...)
			if code != tc.code || out.String() != tc.out || !strings.Contains(errs, tc.err) {
				t.Errorf("code %d, stdout %q, stderr %q; want %d, %q, %q", code, out.String(), errs, tc.code, tc.out, tc.err)
			}
		})
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("%v were left behind", left)
	}
}

// TestPluginRunStops: an interrupt gives the task its time, and its exit code is the command's.
func TestPluginRunStops(t *testing.T) {
	driver := hello(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	r, w := io.Pipe()
	go func() {
		_, _ = io.ReadFull(r, make([]byte, len("ready\n")))
		interrupt()
		_, _ = io.Copy(io.Discard, r)
	}()
	code, errs := local(t, ctx, w, "plugin", "run", driver, jobFileOf(t, `
task "t" {
  driver       = "hello"
  kill_timeout = "20s"
  config {
    command = "sh"
    args    = ["-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 1 & wait $!; done"]
  }
}`))
	if code != 9 || !strings.Contains(errs, "it has 20s") {
		t.Errorf("got code %d, %s", code, errs)
	}
}

// TestPluginRunSurvivesThePlugin: the plugin is killed while the task runs, and nothing is left all the same.
func TestPluginRunSurvivesThePlugin(t *testing.T) {
	driver := hello(t)
	r, w := io.Pipe()
	pid := make(chan int, 1)
	go func() {
		line := make([]byte, 32)
		n, _ := r.Read(line)
		var task int
		_ = json.Unmarshal(bytes.TrimSpace(line[:n]), &task)
		// The task's shell is a child of the shell that the plugin started, and that is the plugin's child.
		killParent(t, driver)
		pid <- task
		_, _ = io.Copy(io.Discard, r)
	}()
	code, errs := local(t, t.Context(), w, "plugin", "run", driver, jobFileOf(t, `
task "t" {
  driver = "hello"
  config {
    command = "sh"
    args    = ["-c", "echo $$; exec sleep 300"]
  }
}`))
	if code != 1 || !strings.Contains(errs, "plugin") {
		t.Errorf("got code %d, %s", code, errs)
	}
	task := <-pid
	for end := time.Now().Add(10 * time.Second); syscall.Kill(task, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("task process %d still runs", task)
		}
	}
}

// killParent kills the one process that runs the binary.
func killParent(t *testing.T, binary string) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == binary {
			var pid int
			_ = json.Unmarshal([]byte(filepath.Base(filepath.Dir(link))), &pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return
		}
	}
	t.Error("the plugin does not run")
}

func TestPluginVerify(t *testing.T) {
	driver := hello(t)
	t.Run("text", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		code, errs := local(t, t.Context(), &out, "plugin", "verify", driver)
		for _, want := range []string{"pass  driver/recover-after-kill", "skip  driver/exec", "Name ", "= hello", " passed, 0 failed"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("there is no %q", want)
			}
		}
		if code != 0 || t.Failed() {
			t.Errorf("code %d, %s\n%s", code, errs, out.String())
		}
	})
	t.Run("json of what is no plugin", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		code, errs := local(t, t.Context(), &out, "plugin", "verify", "-json", "/bin/true")
		var r conformance.Report
		if err := json.Unmarshal(out.Bytes(), &r); err != nil || code != 1 || r.OK() || r.Results[0].Name != "process/handshake" {
			t.Errorf("code %d, %v, %s\n%s", code, err, errs, out.String())
		}
	})
	t.Run("task from a file", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		code, _ := local(t, t.Context(), &out, "plugin", "verify", "-task", jobFileOf(t, greet), driver)
		if code != 1 || !strings.Contains(out.String(), "expected exit code 0") {
			t.Errorf("code %d\n%s", code, out.String())
		}
	})
}

func TestPluginNew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	var out bytes.Buffer
	if code, errs := local(t, t.Context(), &out, "plugin", "new", "driver", "fire_cracker", "-dir", dir); code != 0 {
		t.Fatalf("code %d: %s", code, errs)
	}
	for _, want := range []string{filepath.Join(dir, "driver.go"), "plugin verify ./drover-driver-fire-cracker", "go mod tidy"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
	mod, _ := os.ReadFile(filepath.Join(dir, "go.mod"))
	if !strings.Contains(string(mod), " v1.2.3\n") {
		t.Errorf("the release's SDK is not required: %s", mod)
	}
	code, errs := local(t, t.Context(), &out, "plugin", "new", "balancer", "x", "-dir", filepath.Join(t.TempDir(), "x"))
	if code != 1 || !strings.Contains(errs, "want driver, device or network") {
		t.Errorf("unknown kind: code %d, %s", code, errs)
	}
}

func TestFindBlock(t *testing.T) {
	a, b := config.Plugin{Name: "a"}, config.Plugin{Name: "b"}
	for name, tc := range map[string]struct {
		blocks []config.Plugin
		want   string
		err    string
	}{
		"by name":         {[]config.Plugin{a, b}, "b", ""},
		"the only one":    {[]config.Plugin{a}, "a", ""},
		"none":            {nil, "", `write plugin "b"`},
		"none that would": {[]config.Plugin{a, {Name: "c"}}, "", `("a", "c")`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := findBlock(tc.blocks, "b")
			if tc.err == "" && (err != nil || got.Name != tc.want) || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("got %q, %v", got.Name, err)
			}
		})
	}
}
