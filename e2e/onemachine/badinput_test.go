package onemachine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
}

// simple is a job with one task of the given driver configuration.
func simple(id, driver, config string, more ...string) string {
	return fmt.Sprintf(`
job %q {
  type = "batch"
  group "g" {
    restart { attempts = 0 }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    task "t" {
      driver = %q
      config {
        %s
      }
      resources {
        cpu    = 10
        memory = 10
      }
      %s
    }
  }
}`, id, driver, config, strings.Join(more, "\n"))
}

// Each mistake in a job ends in an error that says what, where and what to do, and creates nothing.
func TestMistakesInJobs(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	refused := map[string]struct {
		hcl  string
		want []string
	}{
		"broken HCL": {"job \"x\" {\n  group \"g\" {\n    task \"t\" {\n  }\n", []string{"stdin:", "unclosed configuration block"}},
		"misspelt block": {strings.Replace(simple("typo", "raw_exec", `command = "/bin/true"`), "resources", "resuorces", 1),
			[]string{"resuorces", `"resources"`}},
		"misspelt config key":  {simple("badkey", "raw_exec", `comand = "/bin/true"`), []string{"comand", "raw_exec"}},
		"wrong config type":    {simple("badtype", "raw_exec", `command = "/bin/true"`+"\nargs = { a = 1 }"), []string{"args"}},
		"missing config value": {simple("nocommand", "raw_exec", ``), []string{"command"}},
		"not acted on yet":     {simple("art", "raw_exec", `command = "/bin/true"`, `vault { role = "x" }`), []string{"vault"}},
		"job of 5 MB":          {simple("big", "raw_exec", `command = "/bin/true"`, "# "+strings.Repeat("x", 5<<20)), []string{"limit"}},
	}
	for name, tc := range refused {
		t.Run(name, func(t *testing.T) {
			out, errs, code := a.CLIInput(tc.hcl, "job", "run", "-detach", "-")
			if code == 0 {
				t.Fatalf("accepted:\n%s", out)
			}
			for _, w := range tc.want {
				if !strings.Contains(errs, w) {
					t.Errorf("the error does not mention %q:\n%s", w, errs)
				}
			}
		})
	}
	var jobs []any
	if err := a.Get("/v1/jobs", &jobs); err != nil || len(jobs) != 0 {
		t.Errorf("refused jobs were created: %v %v", harness.Pretty(jobs), err)
	}

	t.Run("unknown driver waits and says why", func(t *testing.T) {
		out, errs, code := a.CLIInput(simple("nodriver", "teleport", `command = "x"`), "job", "run", "-")
		if code != 2 || !strings.Contains(out, "missing drivers") {
			t.Errorf("exit %d:\n%s%s", code, out, errs)
		}
	})
	t.Run("memory of 10 TB waits and says why", func(t *testing.T) {
		out, _, code := a.CLIInput(strings.Replace(simple("huge", "raw_exec", `command = "/bin/true"`), "memory = 10", "memory = 10485760", 1), "job", "run", "-")
		if code != 2 || !strings.Contains(out, "memory") {
			t.Errorf("exit %d:\n%s", code, out)
		}
	})
	t.Run("missing binary fails the task with the path", func(t *testing.T) {
		a.CLIInput(simple("nobin", "raw_exec", `command = "/no/such/binary"`), "job", "run", "-detach", "-")
		al := a.WaitAllocs("nobin", 1, "failed", 30*time.Second)[0]
		if !eventsMention(al, "/no/such/binary") {
			t.Errorf("no event names the path: %s", harness.Pretty(al.TaskStates))
		}
	})
	t.Run("static port in use by another program", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		// The scheduler cannot know other programs' ports; the task does and says so.
		port := ln.Addr().(*net.TCPAddr).Port
		hcl := strings.Replace(simple("port", "raw_exec", fmt.Sprintf("command = %q\nargs = [\"-listen\", \"127.0.0.1:%d\"]", filepath.Join(harness.Bin(t), "examples", "hello-web"), port)),
			"task \"t\"", fmt.Sprintf("network {\n port \"http\" {\n static = %d\n }\n }\n task \"t\"", port), 1)
		a.CLIInput(hcl, "job", "run", "-detach", "-")
		al := a.WaitAllocs("port", 1, "failed", 30*time.Second)[0]
		if lines := strings.Join(a.LogLines(al.ID, "t", "stderr"), "\n"); !strings.Contains(lines, "address already in use") {
			t.Errorf("the task's log does not say why: %q", lines)
		}
	})
	t.Run("two jobs want the same static port", func(t *testing.T) {
		withPort := func(id string) string {
			return strings.Replace(simple(id, "raw_exec", "command = \"/bin/sleep\"\nargs = [\"600\"]"), "task \"t\"", "network {\n port \"p\" {\n static = 28999\n }\n }\n task \"t\"", 1)
		}
		a.RunJob(withPort("first"), "-detach")
		a.WaitAllocs("first", 1, "running", 30*time.Second)
		out, _, code := a.CLIInput(withPort("second"), "job", "run", "-")
		if code != 2 || !strings.Contains(out, "reserved port collision p=28999") {
			t.Errorf("exit %d:\n%s", code, out)
		}
	})
}

func eventsMention(al harness.Alloc, text string) bool {
	for _, st := range al.TaskStates {
		for _, e := range st.Events {
			if strings.Contains(e.DisplayMessage, text) {
				return true
			}
		}
	}
	return false
}

func TestMistakesInAPICalls(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	for name, tc := range map[string]struct {
		method, path string
		body         any
		code         int
		want         string
	}{
		"wrong type in a job":    {"PUT", "/v1/jobs", `{"Job": {"ID": "x", "TaskGroups": [{"Name": "g", "Count": "three"}]}}`, 400, "Job.TaskGroups[0].Count"},
		"not JSON":               {"PUT", "/v1/jobs", `{"Job": `, 400, "JSON"},
		"no job":                 {"PUT", "/v1/jobs", `{}`, 400, "Job must be specified"},
		"empty body":             {"PUT", "/v1/jobs", ``, 400, "empty body"},
		"unknown allocation":     {"GET", "/v1/allocation/00000000-0000-0000-0000-000000000000", nil, 404, "alloc not found"},
		"logs of an unknown one": {"GET", "/v1/client/fs/logs/00000000-0000-0000-0000-000000000000?task=t&type=stdout", nil, 404, "Unknown allocation"},
		"unknown job":            {"GET", "/v1/job/nope", nil, 404, "job not found"},
		"unknown node":           {"GET", "/v1/node/nope", nil, 404, "node not found"},
		"unknown evaluation":     {"GET", "/v1/evaluation/nope", nil, 404, "eval not found"},
		"bad wait":               {"GET", "/v1/jobs?wait=soon&index=1", nil, 400, "Invalid wait time"},
		"bad index":              {"GET", "/v1/jobs?index=x", nil, 400, "Invalid index"},
		"bad filter":             {"GET", "/v1/jobs?filter=((", nil, 400, "filter"},
		"bad page size":          {"GET", "/v1/jobs?per_page=x", nil, 400, "per_page"},
		"wrong verb":             {"DELETE", "/v1/jobs", nil, 405, "Invalid method"},
		"unknown path":           {"GET", "/v1/nonsense", nil, 404, ""},
		"another region":         {"GET", "/v1/jobs?region=mars", nil, 500, "No path to region"},
		"job named differently":  {"PUT", "/v1/job/a", `{"Job": {"ID": "b"}}`, 400, "does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			err := a.Call(tc.method, tc.path, tc.body, nil)
			var se *harness.StatusError
			if !errors.As(err, &se) || se.Code != tc.code || !strings.Contains(se.Body, tc.want) {
				t.Errorf("got %v, want %d with %q", err, tc.code, tc.want)
			}
		})
	}
	if err := a.Call("DELETE", "/v1/job/nope", nil, nil); err != nil {
		t.Errorf("stopping an unknown job should do nothing: %v", err)
	}
}

// Two agents cannot share a data directory; the second says whose it is.
func TestTwoAgentsOneDataDirectory(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	b := harness.New(t, harness.Options{DataDir: a.DataDir})
	b.Run()
	select {
	case <-b.Ended():
	case <-time.After(20 * time.Second):
		t.Fatal("the second agent runs")
	}
	if log := b.Log(); b.ExitCode() == 0 || !strings.Contains(log, a.DataDir) || !strings.Contains(log, fmt.Sprint(a.PID())) {
		t.Errorf("exit %d, want an error that names %s and process %d:\n%s", b.ExitCode(), a.DataDir, a.PID(), log)
	}
	if err := a.Get("/v1/agent/health", nil); err != nil {
		t.Errorf("the first agent was harmed: %v", err)
	}
}

func TestPortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ports := harness.FreePorts(t)
	ports.HTTP = ln.Addr().(*net.TCPAddr).Port
	a := harness.New(t, harness.Options{Ports: ports})
	a.Run()
	select {
	case <-a.Ended():
	case <-time.After(20 * time.Second):
		t.Fatal("the agent runs although its port is taken")
	}
	if log := a.Log(); !strings.Contains(log, "ports.http") || !strings.Contains(log, "address already in use") {
		t.Errorf("the error does not say which port and why:\n%s", log)
	}
	a.AssertNothingLeft(t)
}

func TestBadConfiguration(t *testing.T) {
	a := harness.New(t, harness.Options{Config: "regoin = \"x\"\n"})
	a.Run()
	<-a.Ended()
	if log := a.Log(); a.ExitCode() == 0 || !strings.Contains(log, `unknown key "regoin"`) || !strings.Contains(log, `did you mean "region"`) {
		t.Errorf("exit %d:\n%s", a.ExitCode(), log)
	}
}

// A full disk under the data directory stops writes with a clear error and loses nothing; it goes on when there is
// room again.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts a small file system and needs root")
	}
	disk, err := os.MkdirTemp("", "df")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(disk)
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=160m"); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(disk, syscall.MNT_DETACH)
	a := harness.Start(t, harness.Options{DataDir: filepath.Join(disk, "d"), Config: "client { disk_total_mb = 10000 }\n"}) // jobs ask for more than the small disk has
	defer a.Stop()
	a.RunJob(fmt.Sprintf(numbered, 1), "-detach")
	al := a.WaitAllocs("numbered", 1, "running", 30*time.Second)[0]
	pid := shells(a)[al.ID]

	filler := filepath.Join(disk, "filler")
	if out, err := exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=64k").CombinedOutput(); err == nil {
		t.Fatalf("the disk did not fill up: %s", out)
	}
	var lastErr error
	accepted := []string{}
	harness.Eventually(t, 60*time.Second, "a write is refused", func() error {
		id := fmt.Sprintf("late-%d", len(accepted))
		_, errs, code := a.CLIInput(simple(id, "raw_exec", `command = "/bin/true"`), "job", "run", "-detach", "-")
		if code == 0 {
			accepted = append(accepted, id)
			return errors.New("still accepted")
		}
		lastErr = errors.New(errs)
		return nil
	})
	if !strings.Contains(lastErr.Error(), "no space left") && !strings.Contains(lastErr.Error(), "disk") {
		t.Errorf("the refusal does not say that the disk is full: %v", lastErr)
	}
	if now := shells(a)[al.ID]; now != pid {
		t.Errorf("the running task was touched: pid %d, was %d", now, pid)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 60*time.Second, "writes are taken again", func() error {
		_, errs, code := a.CLIInput(simple("after", "raw_exec", `command = "/bin/true"`), "job", "run", "-detach", "-")
		if code != 0 {
			return errors.New(errs)
		}
		return nil
	})
	a.WaitAllocs("after", 1, "complete", 30*time.Second)
	for _, id := range append(accepted, "numbered") {
		if err := a.Get("/v1/job/"+id, nil); err != nil {
			t.Errorf("acknowledged job %s is lost: %v", id, err)
		}
	}
	a.MustCLI("job", "stop", "-detach", "numbered")
	a.WaitAllocs("numbered", 1, "complete", 30*time.Second)
}

// A corrupt state file is put aside, said so, and the node goes on.
func TestCorruptClientState(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	a.RunJob(fmt.Sprintf(numbered, 1), "-detach")
	a.WaitAllocs("numbered", 1, "running", 30*time.Second)
	a.Kill9()
	state := filepath.Join(a.DataDir, "client", "state.db")
	b, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] ^= 0x5a
	}
	if err := os.WriteFile(state, b, 0o600); err != nil {
		t.Fatal(err)
	}
	a.Run()
	a.WaitReady()
	if !strings.Contains(a.Log(), "state.db") || !strings.Contains(a.Log(), "corrupt") {
		t.Errorf("the log does not say that the state file is corrupt")
	}
	kept, _ := filepath.Glob(state + ".corrupt*")
	if len(kept) != 1 {
		t.Errorf("the corrupt file was not kept: %v", kept)
	}
	a.WaitAllocs("numbered", 1, "running", 60*time.Second)
}
