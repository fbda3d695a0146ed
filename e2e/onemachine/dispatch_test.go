package onemachine

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// A dispatched job finds its payload and meta where the job file says, and a template reads both.
func TestDispatchedTemplate(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	job := strings.Replace(simple("import", "raw_exec", `command = "/bin/sh"
args = ["-c", "cat local/report"]`, `
      dispatch_payload { file = "in/data.txt" }
      template {
        destination = "local/report"
        data        = "{{ env \"NOMAD_META_who\" }} sent {{ file \"local/in/data.txt\" }}"
        once        = true
      }`), `type = "batch"`, `type = "batch"
  parameterized {
    payload       = "required"
    meta_required = ["who"]
  }`, 1)
	a.RunJob(job)
	if _, stderr, code := a.CLIInput("three words more", "job", "dispatch", "-detach", "-meta", "who=ann", "import", "-"); code != 0 {
		t.Fatal(stderr)
	}
	var children []struct{ ID string }
	if err := a.Get("/v1/jobs?prefix=import/", &children); err != nil || len(children) != 1 {
		t.Fatalf("%v, %v", children, err)
	}
	alloc := a.WaitAllocs(children[0].ID, 1, "complete", 30*time.Second)[0]
	contains(t, a, filepath.Join(a.AllocDir(alloc.ID), "t", "local", "report"), "ann sent three words more", 5*time.Second)
}
