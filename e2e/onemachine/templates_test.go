package onemachine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// service is a job of one long-running raw_exec task that runs script, with more in the task.
func service(id, script string, more ...string) string {
	return fmt.Sprintf(`
job %q {
  group "g" {
    restart { attempts = 0 }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    network {
      port "http" {}
    }
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", %q]
      }
      resources {
        cpu    = 10
        memory = 10
      }
      %s
    }
  }
}`, id, script, strings.Join(more, "\n"))
}

func events(a harness.Alloc, task string) string {
	var b strings.Builder
	for _, e := range a.TaskStates[task].Events {
		fmt.Fprintf(&b, "%s: %s\n", e.Type, e.DisplayMessage)
	}
	return b.String()
}

func contains(t *testing.T, a *harness.Agent, file, want string, limit time.Duration) {
	t.Helper()
	harness.Eventually(t, limit, "content of "+filepath.Base(file), func() error {
		b, err := os.ReadFile(file)
		if err == nil && !strings.Contains(string(b), want) {
			err = fmt.Errorf("%q, want %q", b, want)
		}
		return err
	})
}

// A template is rendered before the task starts, again within a second of a change of the catalog, and then does what
// its change_mode says; the task's variables come from it; an agent that comes back goes on with all of this.
func TestTemplates(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	a.RunJob(service("reader", `trap 'cp local/backends local/seen' USR1; echo "$GREETING" > local/greeting; while :; do sleep 0.05; done`, `
      meta { colour = "blue" }
      env { PLAIN = "p" }
      template {
        destination   = "local/backends"
        data          = "{{ range nomadService \"web\" }}server {{ .Address }}:{{ .Port }}\n{{ end }}colour {{ env \"NOMAD_META_colour\" }}\n"
        change_mode   = "signal"
        change_signal = "SIGUSR1"
        splay         = "0s"
        perms         = "0640"
      }
      template {
        destination = "$${NOMAD_SECRETS_DIR}/env"
        data        = "GREETING=\"hello {{ env \"PLAIN\" }}\"\n"
        env         = true
      }`))
	reader := a.WaitAllocs("reader", 1, "running", 30*time.Second)[0]
	local := filepath.Join(a.AllocDir(reader.ID), "t", "local")
	contains(t, a, filepath.Join(local, "greeting"), "hello p", 10*time.Second)
	b, err := os.ReadFile(filepath.Join(local, "backends"))
	if err != nil || string(b) != "colour blue\n" {
		t.Fatalf("without services: %q, %v", b, err)
	}
	if st, err := os.Stat(filepath.Join(local, "backends")); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", st, err)
	}

	web := `
      service {
        name     = "web"
        port     = "http"
        provider = "nomad"
      }`
	a.RunJob(service("web", "while :; do sleep 0.05; done", web))
	a.WaitAllocs("web", 1, "running", 30*time.Second)
	contains(t, a, filepath.Join(local, "seen"), "server ", 10*time.Second)

	// A new agent finds the task running and goes on: what changed meanwhile is rendered.
	a.Kill9()
	if err := os.Remove(filepath.Join(local, "seen")); err != nil {
		t.Fatal(err)
	}
	a.Run()
	a.WaitReady()
	a.MustCLI("job", "stop", "-detach", "web")
	harness.Eventually(t, 30*time.Second, "the service leaves the file", func() error {
		b, err := os.ReadFile(filepath.Join(local, "seen"))
		if err == nil && string(b) != "colour blue\n" {
			err = fmt.Errorf("%q", b)
		}
		return err
	})
	if now := a.WaitAllocs("reader", 1, "running", 10*time.Second)[0]; now.TaskStates["t"].Restarts != 0 {
		t.Errorf("the reader was restarted %d times", now.TaskStates["t"].Restarts)
	}
}

// change_mode restart restarts once, with the new environment; change_mode script runs a program in the task.
func TestTemplateRestartAndScript(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	source := filepath.Join("local", "source")
	a.RunJob(service("restarted", `echo "value $VALUE" >> local/runs; [ -e local/source ] || echo one > local/source; while :; do sleep 0.05; done`, fmt.Sprintf(`
      template {
        destination = "local/env"
        data        = "VALUE={{ range nomadServices }}{{ .Name }}{{ end }}"
        env         = true
        splay       = "0s"
      }
      template {
        destination = "alloc/copy"
        data        = "{{ range nomadService \"late\" }}{{ .Port }}{{ end }}"
        change_mode = "noop"
      }
      template {
        destination = "local/scripted"
        data        = "{{ env \"NOMAD_JOB_ID\" }}"
        change_mode = "script"
        change_script {
          command             = "/bin/sh"
          args                = ["-c", "echo ran > %s/script"]
          fail_on_error       = true
          run_on_first_render = true
        }
      }`, a.DataDir)))
	alloc := a.WaitAllocs("restarted", 1, "running", 30*time.Second)[0]
	local := filepath.Join(a.AllocDir(alloc.ID), "t", "local")
	contains(t, a, filepath.Join(a.DataDir, "script"), "ran", 10*time.Second)
	contains(t, a, filepath.Join(local, filepath.Base(source)), "one", 10*time.Second)
	a.RunJob(service("late", "while :; do sleep 0.05; done", `
      service {
        name     = "late"
        port     = "http"
        provider = "nomad"
      }`))
	contains(t, a, filepath.Join(local, "runs"), "value \nvalue late\n", 30*time.Second)
	b, err := os.ReadFile(filepath.Join(a.AllocDir(alloc.ID), "alloc", "copy"))
	if err != nil || len(b) == 0 {
		t.Errorf("template in the shared directory: %q, %v", b, err)
	}
	a.Eventually(30*time.Second, "the servers to hear of one restart", func() error { // after the task has printed
		now := a.WaitAllocs("restarted", 1, "running", 10*time.Second)[0]
		if got := events(now, "t"); now.TaskStates["t"].Restarts != 1 || !strings.Contains(got, "re-rendered") {
			return fmt.Errorf("%d restarts\n%s", now.TaskStates["t"].Restarts, got)
		}
		return nil
	})
}

// What is wrong with a template stands in the task's history.
func TestBadTemplates(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	for id, c := range map[string]struct{ template, want string }{
		"syntax":   {`data = "{{ range }"`, "parse"},
		"consul":   {`data = "{{ key \"a\" }}"`, "reads from Consul"},
		"vault":    {`data = "{{ secret \"a\" }}"`, "reads from Vault"},
		"variable": {`data = "{{ nomadVar \"a\" }}"`, "reads variables"},
		"denied":   {`data = "{{ plugin \"id\" }}"`, "disabled"},
		"file":     {`data = "{{ file \"../../../../../etc/shadow\" }}"`, "leads out of the task's directory"},
		"source":   {`source = "local/nothing"`, "no such file"},
		"env":      {"data = \"not a line\"\n env = true", "line 1 is not KEY=value"},
	} {
		t.Run(id, func(t *testing.T) {
			a.RunJob(service(id, "sleep 60", "template {\n destination = \"local/x\"\n"+c.template+"\n}"), "-detach")
			alloc := a.WaitAllocs(id, 1, "failed", 30*time.Second)[0]
			if got := events(alloc, "t"); !strings.Contains(got, c.want) {
				t.Errorf("want %q in\n%s", c.want, got)
			}
		})
	}
	t.Run("never", func(t *testing.T) {
		a.RunJob(service("never", "sleep 60", "template {\n destination = \"local/x\"\n data = \"{{ file \\\"local/later\\\" }}\"\n}"), "-detach")
		var id string
		harness.Eventually(t, 30*time.Second, "the event", func() error {
			for _, alloc := range a.Allocs("never") {
				id = alloc.ID
				if strings.Contains(events(alloc, "t"), "Missing: file(local/later)") {
					return nil
				}
			}
			return fmt.Errorf("not there")
		})
		if err := os.WriteFile(filepath.Join(a.AllocDir(id), "t", "local", "later"), []byte("come"), 0o644); err != nil {
			t.Fatal(err)
		}
		a.WaitAllocs("never", 1, "running", 30*time.Second)
	})
}
