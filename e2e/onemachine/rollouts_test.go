package onemachine

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// web is a service of two instances that runs a shell script.
func web(script, update string) string {
	return fmt.Sprintf(`
job "web" {
  update {
    min_healthy_time  = "300ms"
    healthy_deadline  = "20s"
    progress_deadline = "30s"
    %s
  }
  group "g" {
    count = 2
    restart { attempts = 0 }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    scaling {
      min = 1
      max = 3
    }
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", %q]
      }
      action "greet" {
        command = "/bin/sh"
        args    = ["-c", "echo hello from $NOMAD_TASK_NAME; read line; echo \"heard $line\""]
      }
      action "fail" {
        command = "/bin/sh"
        args    = ["-c", "echo trouble >&2; exit 7"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}`, update, script)
}

// The command follows a roll-out to its end; one that cannot become healthy goes back, and the requests that make no
// sense then are refused and change nothing.
func TestRollouts(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	out, errs, code := a.CLIInput(web("exec sleep 1000", "max_parallel = 2"), "job", "run", "-")
	if code != 0 || !strings.Contains(out, "Deployment completed successfully") || !strings.Contains(out, "[####################] 2/2 healthy") {
		t.Fatalf("exit %d:\n%s%s", code, out, errs)
	}

	t.Run("actions", func(t *testing.T) {
		for name, tc := range map[string]struct {
			args, want string
			code       int
		}{
			"list":          {"action -job web", "greet   g      t     /bin/sh -c", 0},
			"with input":    {"job action -job web greet", "hello from t\nheard me\n", 0},
			"exit code":     {"action -job web -task t fail", "trouble", 7},
			"unknown":       {"action -job web nope", `job "web" has no action "nope"`, 1},
			"in no such":    {"action -job web -group x greet", `job "web" has no action "greet" in group "x"`, 1},
			"without a job": {"action greet", "-job is required", 1},
		} {
			t.Run(name, func(t *testing.T) {
				out, errs, code := a.CLIInput("me\n", strings.Fields(tc.args)...)
				if code != tc.code || !strings.Contains(out+errs, tc.want) {
					t.Errorf("exit %d, want %d with %q:\n%s%s", code, tc.code, tc.want, out, errs)
				}
			})
		}
	})

	before := running(t, a, "web")
	out, errs, code = a.CLIInput(web("exit 1", "max_parallel = 2\n max_surge = 2\n auto_revert = true"), "job", "run", "-")
	if code != 1 || !strings.Contains(errs, "Failed due to unhealthy allocations - rolling back to job version 0") {
		t.Errorf("exit %d:\n%s%s", code, out, errs)
	}
	if !strings.Contains(out, "Deployment completed successfully") {
		t.Errorf("the way back was not followed:\n%s", out)
	}
	if after := running(t, a, "web"); after != before {
		t.Errorf("the old instances did not run on: %s, before %s", after, before)
	}

	var job struct{ Version, JobModifyIndex int }
	if err := a.Get("/v1/job/web", &job); err != nil || job.Version != 2 {
		t.Fatalf("%+v, %v", job, err)
	}
	alloc, _, _ := strings.Cut(running(t, a, "web"), " ")
	var ds []struct{ ID, Status, StatusDescription string }
	if err := a.Get("/v1/job/web/deployments", &ds); err != nil || len(ds) != 3 {
		t.Fatalf("%v, %v", ds, err)
	}
	a.RunJob(strings.Replace(simple("import", "raw_exec", `command = "/bin/true"`), `type = "batch"`, `type = "batch"
  parameterized { meta_required = ["who"] }`, 1))
	large := base64.StdEncoding.EncodeToString(make([]byte, 16<<10+1))
	for name, tc := range map[string]struct {
		path, body string
		code       int
		want       string
	}{
		"promote of a finished one": {"/v1/deployment/promote/" + ds[0].ID, `{"All": true}`, 500, "can't change terminal deployment"},
		"fail of a finished one":    {"/v1/deployment/fail/" + ds[0].ID, `{}`, 500, "can't change terminal deployment"},
		"pause of a finished one":   {"/v1/deployment/pause/" + ds[0].ID, `{"Pause": true}`, 500, "can't change terminal deployment"},
		"revert to no version":      {"/v1/job/web/revert", `{"JobID": "web", "JobVersion": 77}`, 404, `job "web" at version 77 not found: the versions kept are 0, 1, 2`},
		"revert to the same":        {"/v1/job/web/revert", `{"JobID": "web", "JobVersion": 2}`, 400, "can't revert to current version 2"},
		"scale above max":           {"/v1/job/web/scale", `{"Count": 4, "Target": {"Group": "g"}}`, 400, "greater than scaling policy maximum: 4 > 3"},
		"scale below min":           {"/v1/job/web/scale", `{"Count": 0, "Target": {"Group": "g"}}`, 400, "less than scaling policy minimum: 0 < 1"},
		"scale no such group":       {"/v1/job/web/scale", `{"Count": 2, "Target": {"Group": "x"}}`, 400, `task group "x" specified for scaling does not exist`},
		"dispatch without meta":     {"/v1/job/import/dispatch", `{}`, 400, `dispatch did not provide required meta key "who"`},
		"dispatch of too much":      {"/v1/job/import/dispatch", `{"Meta": {"who": "me"}, "Payload": "` + large + `"}`, 400, "payload exceeds maximum size; 16385 > 16384"},
		"unknown signal":            {"/v1/client/allocation/" + alloc + "/signal", `{"Task": "t", "Signal": "SIGNOPE"}`, 400, `unknown signal "SIGNOPE"`},
		"not acted on":              {"/v1/jobs", `{"Job": {"ID": "x", "Type": "batch", "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t", "Driver": "raw_exec", "Vault": {"Role": "x"}}]}]}}`, 400, "does not act on vault yet"},
	} {
		t.Run(name, func(t *testing.T) {
			err := a.Call("PUT", tc.path, tc.body, nil)
			var se *harness.StatusError
			if !errors.As(err, &se) || se.Code != tc.code || !strings.Contains(se.Body, tc.want) {
				t.Errorf("got %v, want %d with %q", err, tc.code, tc.want)
			}
		})
	}
	now := job
	if err := a.Get("/v1/job/web", &now); err != nil || now != job {
		t.Errorf("refused requests changed the job: %+v, before %+v, %v", now, job, err)
	}
	if after := running(t, a, "web"); after != before {
		t.Errorf("refused requests changed the instances: %s, before %s", after, before)
	}

	t.Run("scaling", func(t *testing.T) {
		if out := a.MustCLI("job", "scale", "web", "3"); !strings.Contains(out, "3/3 healthy") {
			t.Errorf("the command does not follow:\n%s", out)
		}
		out := a.MustCLI("job", "scaling-events", "web")
		if lines := strings.Split(out, "\n"); !strings.Contains(lines[1], "submitted using the command line") {
			t.Errorf("events:\n%s", out)
		}
		var policies []struct {
			ID     string
			Target map[string]string
		}
		if err := a.Get("/v1/scaling/policies?job=web", &policies); err != nil || len(policies) != 1 || policies[0].Target["Group"] != "g" {
			t.Fatalf("%v, %v", policies, err)
		}
		if out := a.MustCLI("scaling", "policy", "list"); !strings.Contains(out, "Job:web,Group:g") {
			t.Errorf("policies:\n%s", out)
		}
		if out := a.MustCLI("scaling", "policy", "info", policies[0].ID[:8]); !strings.Contains(out, "Max      = 3") && !strings.Contains(out, "Max     = 3") {
			t.Errorf("policy:\n%s", out)
		}
	})
}

// running lists the IDs of a job's running instances, oldest first.
func running(t *testing.T, a *harness.Agent, job string) string {
	t.Helper()
	var ids []string
	for _, al := range a.Allocs(job) {
		if al.ClientStatus == "running" && al.DesiredStatus == "run" {
			ids = append(ids, al.ID)
		}
	}
	return strings.Join(ids, " ")
}

// An instance of a batch job ends when its time is up, and says so.
func TestMaxRunDuration(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	a.RunJob(strings.Replace(simple("long", "raw_exec", "command = \"/bin/sleep\"\nargs = [\"1000\"]"), "group \"g\" {", "group \"g\" {\n max_run_duration = \"1s\"", 1), "-detach")
	al := a.WaitAllocs("long", 1, "failed", 30*time.Second)[0]
	if !strings.Contains(al.ClientDescription, "max_run_duration of 1s exceeded") {
		t.Errorf("%q", al.ClientDescription)
	}
}
