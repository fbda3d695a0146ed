package nomadapi

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/droverhq/drover/e2e/harness"
)

func testAllocations(t *testing.T, f *fixture) {
	allocs := f.c.Allocations()

	t.Run("list", func(t *testing.T) {
		list := get(allocs.List(nil))(t)
		n := 0
		for _, a := range list {
			if a.JobID == "web" && a.ClientStatus == "running" {
				n++
				if a.TaskStates["t"].State != "running" || a.JobType != "service" || a.Namespace != "default" || a.NodeName == "" {
					t.Errorf("stub: %s", harness.Pretty(a))
				}
			}
		}
		if n != 2 {
			t.Errorf("%d running allocations of web, want 2", n)
		}
	})
	t.Run("prefix", func(t *testing.T) {
		list := get(allocs.PrefixList(f.alloc.ID[:8]))(t)
		if len(list) != 1 || list[0].ID != f.alloc.ID {
			t.Errorf("prefix %s: %s", f.alloc.ID[:8], harness.Pretty(list))
		}
	})
	t.Run("info", func(t *testing.T) {
		a := f.info(t, f.alloc.ID)
		if a.Job == nil || *a.Job.ID != "web" || *a.Job.Version != 0 {
			t.Errorf("it lacks its job's version: %s", harness.Pretty(a.Job))
		}
		r := a.AllocatedResources
		if r.Tasks["t"].Cpu.CpuShares != 10 || r.Tasks["t"].Memory.MemoryMB != 16 || r.Shared.DiskMB != 10 {
			t.Errorf("resources: %s", harness.Pretty(r))
		}
		if len(r.Shared.Ports) != 1 || r.Shared.Ports[0].Label != "http" || r.Shared.Ports[0].Value < 20000 || r.Shared.Ports[0].Value > 32000 {
			t.Errorf("ports: %s", harness.Pretty(r.Shared.Ports))
		}
		if a.DesiredStatus != "run" || a.ClientStatus != "running" || a.Metrics == nil || a.Metrics.NodesEvaluated != 1 {
			t.Errorf("allocation: %s", harness.Pretty(a))
		}
		st := a.TaskStates["t"]
		var events []string
		for _, e := range st.Events {
			events = append(events, e.Type)
			if e.DisplayMessage == "" || e.Time == 0 {
				t.Errorf("event without a message or time: %+v", e)
			}
		}
		if want := "Received Task Setup Started"; strings.Join(events, " ") != want {
			t.Errorf("events %v, want %s", events, want)
		}
		if st.StartedAt.IsZero() || !st.FinishedAt.IsZero() {
			t.Errorf("times %v, %v", st.StartedAt, st.FinishedAt)
		}
	})
	t.Run("stats", func(t *testing.T) {
		f.until(t, "memory is measured", func() error {
			s, err := allocs.Stats(f.alloc, nil)
			if err != nil {
				return err
			}
			task := s.Tasks["t"]
			if task == nil || task.ResourceUsage.MemoryStats == nil || task.ResourceUsage.MemoryStats.Usage+task.ResourceUsage.MemoryStats.RSS == 0 ||
				len(task.ResourceUsage.CpuStats.Measured) == 0 || s.Timestamp == 0 || s.ResourceUsage == nil {
				return fmt.Errorf("%s", harness.Pretty(s))
			}
			return nil
		})
	})
	t.Run("signal", func(t *testing.T) {
		if err := allocs.Signal(f.alloc, nil, "t", "SIGHUP"); err != nil {
			t.Fatal(err)
		}
		f.until(t, "the task notes it", func() error {
			r, err := f.c.AllocFS().Cat(f.alloc, "t/local/signals", nil)
			if err != nil {
				return err
			}
			defer r.Close()
			return nil
		})
		if err := allocs.Signal(f.alloc, nil, "t", "SIGNONSENSE"); err == nil {
			t.Error("a signal that does not exist was sent")
		}
		if err := allocs.Signal(f.alloc, nil, "nosuch", "SIGHUP"); err == nil || !strings.Contains(err.Error(), "nosuch") {
			t.Errorf("a task that does not exist: %v", err)
		}
	})
	t.Run("restart", func(t *testing.T) {
		f.run(t, f.service("restarted", 1, shell(webScript)))
		a := f.info(t, f.waitAllocs(t, "restarted", "running", 1)[0].ID)
		if err := allocs.Restart(a, "t", nil); err != nil {
			t.Fatal(err)
		}
		f.until(t, "it runs again", func() error {
			now, _, err := allocs.Info(a.ID, nil)
			if err != nil {
				return err
			}
			st := now.TaskStates["t"]
			if st.State != "running" || !st.StartedAt.After(a.TaskStates["t"].StartedAt) {
				return fmt.Errorf("%s", harness.Pretty(st))
			}
			return nil
		})
		if err := allocs.Restart(a, "nosuch", nil); err == nil {
			t.Error("a task that does not exist was restarted")
		}
	})
	t.Run("stop", func(t *testing.T) {
		f.run(t, f.service("stopped", 1, shell(webScript)))
		a := f.info(t, f.waitAllocs(t, "stopped", "running", 1)[0].ID)
		resp := one(allocs.Stop(a, nil))(t)
		if resp.EvalID == "" || resp.LastIndex == 0 {
			t.Errorf("answer %+v", resp)
		}
		f.until(t, "it is replaced", func() error {
			now, _, err := allocs.Info(a.ID, nil)
			if err != nil {
				return err
			}
			if now.ClientStatus != "complete" || now.DesiredStatus != "stop" || now.NextAllocation == "" {
				return fmt.Errorf("%s %s next %q", now.ClientStatus, now.DesiredStatus, now.NextAllocation)
			}
			next, _, err := allocs.Info(now.NextAllocation, nil)
			if err != nil {
				return err
			}
			if next.PreviousAllocation != a.ID || next.ClientStatus != "running" {
				return fmt.Errorf("next: previous %s, %s", next.PreviousAllocation, next.ClientStatus)
			}
			return nil
		})
	})
	t.Run("exit code", func(t *testing.T) {
		f.run(t, f.batch("fails", shell("exit 7")))
		a := f.info(t, f.waitAllocs(t, "fails", "failed", 1)[0].ID)
		st := a.TaskStates["t"]
		if st.State != "dead" || !st.Failed || st.FinishedAt.IsZero() {
			t.Errorf("state: %s", harness.Pretty(st))
		}
		found := false
		for _, e := range st.Events {
			found = found || e.Type == "Terminated" && e.ExitCode == 7 && e.Details["exit_code"] == "7"
		}
		if !found {
			t.Errorf("no Terminated event with exit code 7: %s", harness.Pretty(st.Events))
		}
		if d := time.Since(time.Unix(0, a.ModifyTime)); d < -time.Minute || d > time.Hour {
			t.Errorf("modified %v ago", d)
		}
	})
	t.Run("garbage collection", func(t *testing.T) {
		f.run(t, f.batch("collected", shell("true")))
		a := f.info(t, f.waitAllocs(t, "collected", "complete", 1)[0].ID)
		if err := allocs.GC(a, nil); err != nil {
			t.Fatal(err)
		}
		f.until(t, "its files are gone", func() error {
			if _, _, err := f.c.AllocFS().List(a, "/", nil); err == nil {
				return fmt.Errorf("still there")
			}
			return nil
		})
	})
	t.Run("services and checks", func(t *testing.T) {
		regs := get(allocs.Services(f.alloc.ID, nil))(t)
		if len(regs) != 1 || regs[0].ServiceName != "web" || regs[0].AllocID != f.alloc.ID {
			t.Errorf("services: %s", harness.Pretty(regs))
		}
		if l, err := allocs.Checks(f.alloc.ID, nil); err != nil || len(l) != 0 {
			t.Errorf("web has no checks: %s, %v", harness.Pretty(l), err)
		}
	})
	t.Run("a roll-out waits for a script check", func(t *testing.T) {
		j := f.service("checked", 1, shell(webScript))
		j.Update = &api.UpdateStrategy{MinHealthyTime: ptr(10 * time.Millisecond), HealthCheck: ptr("checks")}
		j.TaskGroups[0].Tasks[0].Services = []*api.Service{{Name: "checked", Provider: "nomad", Checks: []api.ServiceCheck{{
			Name: "probe", Type: "script", Command: "/bin/sh", Args: []string{"-c", "echo asked; test -e ${NOMAD_TASK_DIR}/open"},
			Interval: time.Second, Timeout: 5 * time.Second,
		}}}}
		f.run(t, j)
		a := f.info(t, f.waitAllocs(t, "checked", "running", 1)[0].ID)
		said := func(status string, code int) error {
			l, err := allocs.Checks(a.ID, nil)
			if err != nil {
				return err
			}
			for id, c := range l {
				if c.ID != id || c.Check != "probe" || c.Service != "checked" || c.Task != "t" || c.Mode != "healthiness" {
					t.Fatalf("checks: %s", harness.Pretty(l))
				}
				if c.Status == status && c.StatusCode == code && c.Output == "asked" && c.Timestamp > 0 {
					return nil
				}
			}
			return fmt.Errorf("checks: %s", harness.Pretty(l))
		}
		f.until(t, "the check fails", func() error { return said("failure", 1) })
		if d := get(f.c.Jobs().LatestDeployment("checked", nil))(t); d == nil || d.Status != "running" {
			t.Errorf("deployment: %s", harness.Pretty(d))
		}
		if code, err := f.c.Allocations().Exec(t.Context(), a, "t", false, []string{"touch", "local/open"}, strings.NewReader(""), io.Discard, io.Discard, nil, nil); err != nil || code != 0 {
			t.Fatalf("touch: %d, %v", code, err)
		}
		f.until(t, "the check succeeds", func() error { return said("success", 0) })
		f.until(t, "the deployment succeeds", func() error {
			d, _, err := f.c.Jobs().LatestDeployment("checked", nil)
			if err == nil && (d == nil || d.Status != "successful") {
				err = fmt.Errorf("%s", harness.Pretty(d))
			}
			return err
		})
	})
}
