package deploy

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
)

// The tables of docs/lifecycle/job.md say what Step does, and name every status.
func TestDocumentedTables(t *testing.T) {
	b, err := os.ReadFile("../../../docs/lifecycle/job.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	statuses := table(page, "| status | meaning |\n|---|---|\n| `running` | places")
	for _, s := range []string{model.DeploymentRunning, model.DeploymentPaused, model.DeploymentSuccessful, model.DeploymentFailed, model.DeploymentCancelled} {
		if !strings.Contains(statuses, "| `"+s+"` |") {
			t.Errorf("the table of statuses lacks %s", s)
		}
	}
	if n := strings.Count(statuses, "\n"); n != 7 {
		t.Errorf("the table of statuses has %d lines, want 7", n)
	}
	want := deadlines()
	if got := table(page, "| a group at its deadline, or before it |"); got != want {
		t.Errorf("the table of deadlines is:\n%s\nwant:\n%s", got, want)
	}
}

// table is the table that begins so.
func table(page, begin string) string {
	i := strings.Index(page, begin)
	if i < 0 {
		return ""
	}
	end := strings.Index(page[i:], "\n\n")
	return page[i : i+end+1]
}

// deadlines asks Step what follows in each case.
func deadlines() string {
	yes, no := true, false
	given := func(change func(*model.DeploymentState)) *model.Deployment {
		return rollout(func(g *model.DeploymentState) {
			g.RequireProgressBy = now
			change(g)
		})
	}
	on := func(value string, revert bool) *model.Deployment {
		return given(func(g *model.DeploymentState) { g.OnDeadline, g.AutoRevert = value, revert })
	}
	early := func(change func(*model.DeploymentState)) *model.Deployment {
		return rollout(func(g *model.DeploymentState) { change(g) })
	}
	canary := given(func(g *model.DeploymentState) { g.DesiredCanaries, g.PlacedCanaries = 1, []string{"c"} })
	paused := on("", true)
	paused.Status = model.DeploymentPaused
	tried := alloc("a", &no, func(a *model.Allocation) {
		a.RescheduleTracker = &model.RescheduleTracker{Events: []*model.RescheduleEvent{{RescheduleTime: now.Add(-time.Minute).UnixNano()}}}
	})
	old := job(0, "a")
	old.Stable = true
	var out strings.Builder
	out.WriteString("| a group at its deadline, or before it | the roll-out |\n|---|---|\n")
	for _, c := range []struct {
		what   string
		d      *model.Deployment
		allocs []*model.Allocation
	}{
		{"fewer healthy than wanted", on("", false), nil},
		{"the same, with `auto_revert`", on("", true), nil},
		{"the same, with `on_deadline = \"fail\"` and `auto_revert`", on(model.OnDeadlineFail, true), nil},
		{"the same, with `on_deadline = \"revert\"`", on(model.OnDeadlineRevert, false), nil},
		{"the same, with `on_deadline = \"keep_trying\"`", on(model.OnDeadlineKeepTrying, true), nil},
		{"the same, paused", paused, nil},
		{"only a promotion is missing", canary, []*model.Allocation{alloc("c", &yes, nil)}},
		{"all are healthy, though the scheduler could not finish", on("", false), []*model.Allocation{alloc("a", &yes, nil), alloc("b", &yes, nil)}},
		{"before it: one is unhealthy or has failed", early(func(*model.DeploymentState) {}), []*model.Allocation{alloc("a", &no, nil)}},
		{"before it: the same, and its `reschedule` policy gives up", early(func(g *model.DeploymentState) { g.AutoRevert = true }), []*model.Allocation{tried}},
		{"`progress_deadline = \"0s\"`: one is unhealthy or has failed", early(func(g *model.DeploymentState) { g.ProgressDeadline, g.RequireProgressBy = 0, time.Time{} }), []*model.Allocation{alloc("a", &no, nil)}},
	} {
		a := Step(View{Deployment: c.d, Job: job(1, "b"), Versions: []*model.Job{job(1, "b"), old}, Allocs: c.allocs, Seen: 5}, now)
		fmt.Fprintf(&out, "| %s | %s |\n", c.what, follows(c.d, a))
	}
	return out.String()
}

func follows(d *model.Deployment, a Actions) string {
	switch u := a.Update; {
	case u == nil && len(a.Reschedule) > 0:
		return "goes on; that one is replaced"
	case u == nil:
		return "`" + d.Status + "`, waits"
	case a.Revert != nil:
		return "`" + u.Status + "`; the last stable version is registered"
	default:
		return "`" + u.Status + "`: " + u.StatusDescription
	}
}
