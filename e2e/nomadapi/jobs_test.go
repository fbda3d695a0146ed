package nomadapi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/droverhq/drover/e2e/harness"
)

func testJobs(t *testing.T, f *fixture) {
	jobs := f.c.Jobs()

	t.Run("info is the job with its defaults", func(t *testing.T) {
		j := get(jobs.Info("web", nil))(t)
		if *j.ID != "web" || *j.Name != "web" || *j.Type != "service" || *j.Namespace != "default" || *j.Region != "global" {
			t.Errorf("identity: %s", harness.Pretty(j))
		}
		if *j.Status != "running" || *j.Priority != 50 || *j.Version != 0 || *j.JobModifyIndex == 0 {
			t.Errorf("state: %v %v %v %v", *j.Status, *j.Priority, *j.Version, *j.JobModifyIndex)
		}
		g := j.TaskGroups[0]
		if *g.Count != 2 || g.Tasks[0].Driver != "raw_exec" || *g.Tasks[0].KillTimeout != 5*time.Second || *g.Tasks[0].LogConfig.MaxFiles != 2 {
			t.Errorf("group: %s", harness.Pretty(g))
		}
		if *j.SubmitTime == 0 {
			t.Error("no submit time")
		}
	})
	t.Run("list has stubs with the summary", func(t *testing.T) {
		list, meta, err := jobs.List(nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != 1 || list[0].ID != "web" || list[0].Status != "running" || list[0].JobSummary.Summary["g"].Running != 2 {
			t.Errorf("list: %s", harness.Pretty(list))
		}
		if meta.LastIndex == 0 || !meta.KnownLeader {
			t.Errorf("meta %+v", meta)
		}
	})
	t.Run("summary, evaluations, allocations", func(t *testing.T) {
		s := get(jobs.Summary("web", nil))(t)
		if s.JobID != "web" || s.Summary["g"] != (api.TaskGroupSummary{Running: 2}) {
			t.Errorf("summary: %s", harness.Pretty(s))
		}
		evals := get(jobs.Evaluations("web", nil))(t)
		if len(evals) == 0 || evals[len(evals)-1].TriggeredBy != "job-register" || evals[len(evals)-1].Status != "complete" {
			t.Errorf("evaluations: %s", harness.Pretty(evals))
		}
		if allocs := f.waitAllocs(t, "web", "running", 2); allocs[0].JobVersion != 0 || allocs[0].TaskGroup != "g" || allocs[0].NodeID != f.nodeID {
			t.Errorf("allocation: %s", harness.Pretty(allocs[0]))
		}
	})
	t.Run("the same job again changes nothing", func(t *testing.T) {
		before := get(jobs.Info("web", nil))(t)
		get(jobs.Register(f.web, nil))(t)
		after := get(jobs.Info("web", nil))(t)
		if *after.Version != *before.Version {
			t.Errorf("version %d became %d", *before.Version, *after.Version)
		}
	})
	t.Run("enforced index", func(t *testing.T) {
		j := f.batch("enforced", shell("true"))
		if _, _, err := jobs.EnforceRegister(j, 12345, nil); err == nil || !strings.Contains(err.Error(), api.RegisterEnforceIndexErrPrefix) {
			t.Fatalf("a job that does not exist with index 12345: %v", err)
		}
		resp := get(jobs.EnforceRegister(j, 0, nil))(t)
		t.Cleanup(func() { jobs.Deregister("enforced", true, nil) })
		if _, _, err := jobs.EnforceRegister(j, 0, nil); err == nil || !strings.Contains(err.Error(), api.RegisterEnforceIndexErrPrefix) {
			t.Fatalf("a job that exists with index 0: %v", err)
		}
		j.Meta = map[string]string{"a": "b"}
		get(jobs.EnforceRegister(j, resp.JobModifyIndex, nil))(t)
	})
	t.Run("versions, stable, revert", func(t *testing.T) {
		j := f.service("versions", 1, shell(webScript))
		f.run(t, j)
		f.waitAllocs(t, "versions", "running", 1)
		j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": "1"}
		get(jobs.Register(j, nil))(t)
		f.until(t, "the second version runs alone", func() error {
			all, _, err := jobs.Allocations("versions", true, nil)
			if err != nil {
				return err
			}
			for _, a := range all {
				if a.JobVersion == 1 && a.ClientStatus == "running" {
					return nil
				}
			}
			return fmt.Errorf("%d allocations", len(all))
		})
		vs, diffs, _, err := jobs.Versions("versions", true, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(vs) != 2 || *vs[0].Version != 1 || *vs[1].Version != 0 || len(diffs) != 1 || diffs[0].Type != "Edited" {
			t.Fatalf("%d versions, diffs %s", len(vs), harness.Pretty(diffs))
		}
		if _, _, err := jobs.Stable("versions", 0, true, nil); err != nil {
			t.Fatal(err)
		}
		vs, _, _, _ = jobs.Versions("versions", false, nil)
		if !*vs[1].Stable {
			t.Error("version 0 is not stable")
		}
		if _, _, err := jobs.Revert("versions", 0, ptr(uint64(7)), nil, "", ""); err == nil {
			t.Error("reverted although the prior version is another")
		}
		get(jobs.Revert("versions", 0, ptr(uint64(1)), nil, "", ""))(t)
		now := get(jobs.Info("versions", nil))(t)
		if *now.Version != 2 || now.TaskGroups[0].Tasks[0].Env["V"] != "" {
			t.Errorf("after the revert: version %d, env %v", *now.Version, now.TaskGroups[0].Tasks[0].Env)
		}
	})
	t.Run("version tags", func(t *testing.T) {
		if _, err := jobs.TagVersion("web", 0, "golden", "it works", nil); err != nil {
			t.Fatal(err)
		}
		v := get(jobs.VersionByTag("web", "golden", nil))(t)
		if v.VersionTag == nil || v.VersionTag.Description != "it works" {
			t.Errorf("tag: %s", harness.Pretty(v.VersionTag))
		}
		if _, err := jobs.UntagVersion("web", "golden", nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("plan", func(t *testing.T) {
		fresh := get(jobs.Plan(f.service("unborn", 3, shell("true")), true, nil))(t)
		if fresh.Diff.Type != "Added" || fresh.JobModifyIndex != 0 || fresh.Annotations.DesiredTGUpdates["g"].Place != 3 {
			t.Errorf("new job: %s", harness.Pretty(fresh))
		}
		bigger := *f.web
		g := *f.web.TaskGroups[0]
		g.Count = ptr(3)
		bigger.TaskGroups = []*api.TaskGroup{&g}
		p := get(jobs.Plan(&bigger, true, nil))(t)
		if u := p.Annotations.DesiredTGUpdates["g"]; p.Diff.Type != "Edited" || u == nil || u.Place != 1 || u.Ignore+u.InPlaceUpdate != 2 {
			t.Errorf("more instances: %s", harness.Pretty(p))
		}
		if p.JobModifyIndex == 0 {
			t.Error("no modify index to enforce")
		}
		huge := f.service("huge", 1, shell("true"))
		huge.TaskGroups[0].Tasks[0].Resources.MemoryMB = ptr(10 << 20)
		p = get(jobs.Plan(huge, false, nil))(t)
		if m := p.FailedTGAllocs["g"]; m == nil || m.NodesExhausted != 1 || m.DimensionExhausted["memory"] != 1 {
			t.Errorf("10 TB: %s", harness.Pretty(p))
		}
		if _, _, err := jobs.Info("unborn", nil); err == nil {
			t.Error("planning created the job")
		}
	})
	t.Run("validate", func(t *testing.T) {
		v := get(jobs.Validate(f.web, nil))(t)
		if v.Error != "" || len(v.ValidationErrors) != 0 {
			t.Errorf("good job: %+v", v)
		}
		bad := f.service("bad", -1, api.NewTask("", ""))
		v = get(jobs.Validate(bad, nil))(t)
		if v.Error == "" || len(v.ValidationErrors) == 0 {
			t.Errorf("bad job: %+v", v)
		}
	})
	t.Run("parse", func(t *testing.T) {
		const hcl = `
job "parsed" {
  group "g" {
    task "t" {
      driver = "raw_exec"
      config { command = "/bin/true" }
    }
  }
}`
		j := one(jobs.ParseHCL(hcl, true))(t)
		if *j.ID != "parsed" || *j.Priority != 50 || j.TaskGroups[0].Tasks[0].Config["command"] != "/bin/true" {
			t.Errorf("parsed: %s", harness.Pretty(j))
		}
		_, err := jobs.ParseHCL("job \"x\" {\n  grop \"g\" {}\n}", false)
		status(t, err, 400, "grop")
		j = one(jobs.ParseHCLOpts(&api.JobsParseRequest{JobHCL: `
variable "n" {}
job "v" {
  group "g" {
    count = var.n
    task "t" { driver = "raw_exec" }
  }
}`, Variables: `n = 4`, Canonicalize: true}))(t)
		if *j.TaskGroups[0].Count != 4 {
			t.Errorf("count %d", *j.TaskGroups[0].Count)
		}
	})
	t.Run("submission", func(t *testing.T) {
		j := f.batch("submitted", shell("true"))
		_, _, err := jobs.RegisterOpts(j, &api.RegisterOptions{Submission: &api.JobSubmission{Source: "# source", Format: "hcl2"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { jobs.Deregister("submitted", true, nil) })
		s := get(jobs.Submission("submitted", 0, nil))(t)
		if s.Source != "# source" || s.Format != "hcl2" {
			t.Errorf("submission: %+v", s)
		}
	})
	t.Run("scale", func(t *testing.T) {
		j := f.service("scaled", 1, shell(webScript))
		f.run(t, j)
		f.waitAllocs(t, "scaled", "running", 1)
		f.settled(t, "scaled")
		_, _, err := jobs.Scale("scaled", "g", ptr(2), "more", false, map[string]any{"by": "test"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.waitAllocs(t, "scaled", "running", 2)
		st := get(jobs.ScaleStatus("scaled", nil))(t)
		g := st.TaskGroups["g"]
		if g.Desired != 2 || g.Running != 2 || len(g.Events) == 0 || *g.Events[0].Count != 2 || g.Events[0].Message != "more" || g.Events[0].PreviousCount != 1 {
			t.Errorf("scale status: %s", harness.Pretty(st))
		}
		_, _, err = jobs.Scale("scaled", "nosuch", ptr(2), "", false, nil, nil)
		status(t, err, 400)
		_, _, err = jobs.Scale("scaled", "g", ptr(-1), "", false, nil, nil)
		status(t, err, 400)
		_, _, err = jobs.Scale("nosuch", "g", ptr(2), "", false, nil, nil)
		status(t, err, 404)
	})
	t.Run("evaluate", func(t *testing.T) {
		id, _, err := jobs.ForceEvaluate("web", nil)
		if err != nil || id == "" {
			t.Errorf("evaluation %q, %v", id, err)
		}
	})
	t.Run("deregister", func(t *testing.T) {
		j := f.service("gone", 1, shell(webScript))
		f.run(t, j)
		f.waitAllocs(t, "gone", "running", 1)
		eval, _, err := jobs.Deregister("gone", false, nil)
		if err != nil || eval == "" {
			t.Fatalf("evaluation %q, %v", eval, err)
		}
		f.waitAllocs(t, "gone", "complete", 1)
		f.until(t, "the job is dead", func() error {
			now, _, err := jobs.Info("gone", nil)
			if err != nil {
				return err
			}
			if !*now.Stop || *now.Status != "dead" {
				return fmt.Errorf("stop %v, status %s", *now.Stop, *now.Status)
			}
			return nil
		})
		if _, _, err := jobs.Deregister("gone", true, nil); err != nil {
			t.Fatal(err)
		}
		_, _, err = jobs.Info("gone", nil)
		status(t, err, 404, "job not found")
		if eval, _, err := jobs.Deregister("never", false, nil); err != nil || eval != "" {
			t.Errorf("a job that never was: evaluation %q, %v", eval, err)
		}
	})
	t.Run("dispatch", func(t *testing.T) {
		j := f.batch("template", shell(`cat $NOMAD_TASK_DIR/in; echo " $NOMAD_META_who"`))
		j.ParameterizedJob = &api.ParameterizedJobConfig{Payload: "required", MetaRequired: []string{"who"}}
		j.TaskGroups[0].Tasks[0].DispatchPayload = &api.DispatchPayloadConfig{File: "in"}
		if _, _, err := jobs.Register(j, nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { jobs.Deregister("template", true, nil) })
		_, _, err := jobs.Dispatch("template", nil, []byte("x"), "", nil)
		if err == nil {
			t.Error("dispatched without its required meta")
		}
		d := get(jobs.Dispatch("template", map[string]string{"who": "me"}, []byte("payload"), "", nil))(t)
		if !strings.HasPrefix(d.DispatchedJobID, "template/dispatch-") {
			t.Errorf("dispatched %q", d.DispatchedJobID)
		}
		t.Cleanup(func() { jobs.Deregister(d.DispatchedJobID, true, nil) })
		al := f.waitAllocs(t, d.DispatchedJobID, "complete", 1)[0]
		if got := f.log(t, f.info(t, al.ID), "stdout"); got != "payload me\n" {
			t.Errorf("it wrote %q", got)
		}
	})
	t.Run("slash in the id", func(t *testing.T) {
		j := f.batch("a/b", shell("true"))
		if _, _, err := jobs.Register(j, nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { jobs.Deregister("a/b", true, nil) })
		got := get(jobs.Info("a/b", nil))(t)
		if *got.ID != "a/b" {
			t.Errorf("got %q", *got.ID)
		}
	})
	t.Run("system", func(t *testing.T) {
		j := f.service("everywhere", 1, shell(webScript))
		j.Type, j.Update, j.TaskGroups[0].ReschedulePolicy = ptr("system"), nil, nil
		f.run(t, j)
		f.waitAllocs(t, "everywhere", "running", 1)
	})
}

// settled waits until no deployment of the job is under way: scaling is refused meanwhile.
func (f *fixture) settled(t *testing.T, job string) {
	t.Helper()
	f.until(t, "the deployment of "+job+" ends", func() error {
		d, _, err := f.c.Jobs().LatestDeployment(job, nil)
		if err != nil || d == nil || d.Status == "successful" || d.Status == "failed" {
			return err
		}
		return fmt.Errorf("%s: %s", d.Status, d.StatusDescription)
	})
}
