package blocked

import (
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
)

func eval(id, job string, snapshot uint64, classes ...string) *model.Evaluation {
	e := &model.Evaluation{ID: id, JobID: job, Status: model.EvalBlocked, SnapshotIndex: snapshot, CreateIndex: snapshot}
	for _, c := range classes {
		name, no := strings.CutPrefix(c, "!")
		if e.ClassEligibility == nil {
			e.ClassEligibility = map[string]bool{}
		}
		e.ClassEligibility[name] = !no
	}
	return e
}

func ids(evals []*model.Evaluation) string {
	var out []string
	for _, e := range evals {
		out = append(out, e.ID)
	}
	return strings.Join(out, " ")
}

// A change on a class wakes those that could use it or never saw it.
func TestUnblockByClass(t *testing.T) {
	now := time.Unix(1700000000, 0)
	escaped := eval("e4", "d", 1, "!small")
	escaped.EscapedComputedClass = true
	for name, c := range map[string]struct {
		class string
		want  string
	}{
		"an eligible class":   {"big", "e1 e2 e3 e4"},
		"an ineligible class": {"small", "e3 e4"},
		"an unknown class":    {"new", "e1 e2 e3 e4"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := New()
			for _, e := range []*model.Evaluation{eval("e1", "a", 1, "big", "!small"), eval("e2", "b", 1, "!small"), eval("e3", "c", 1), escaped} {
				if tr.Block(e) {
					t.Fatalf("%s was not kept", e.ID)
				}
			}
			if got := ids(tr.Unblock(c.class, 2, now)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := ids(tr.Unblock(c.class, 3, now)); got != "" {
				t.Errorf("woken twice: %q", got)
			}
		})
	}
}

// A change that happened while the scheduler worked on an older snapshot is not missed.
func TestMissedUnblock(t *testing.T) {
	now := time.Unix(1700000000, 0)
	tr := New()
	tr.Unblock("big", 10, now)
	if !tr.Block(eval("e1", "a", 9, "big")) {
		t.Error("the change at 10 was missed by a snapshot of 9")
	}
	if tr.Block(eval("e2", "b", 10, "big")) {
		t.Error("a snapshot of 10 has seen the change at 10")
	}
	if tr.Block(eval("e3", "c", 9, "!big")) {
		t.Error("the change is of no interest to a job that cannot use the class")
	}
	tr.Prune(now.Add(pruneAfter + time.Second))
	if tr.Block(eval("e4", "d", 9, "big")) {
		t.Error("a forgotten change still wakes")
	}
}

// A job has one blocked evaluation: the newest.
func TestOnePerJob(t *testing.T) {
	tr := New()
	tr.Block(eval("old", "a", 1, "big"))
	tr.Block(eval("new", "a", 2, "big"))
	tr.Block(eval("late", "a", 1, "big"))
	d := tr.TakeDuplicates()
	if ids(d) != "old late" || d[0].Status != model.EvalCanceled {
		t.Errorf("replaced: %q, %+v", ids(d), d)
	}
	if n, _ := tr.Stats(); n != 1 {
		t.Errorf("%d are blocked", n)
	}
	tr.Untrack(model.JobID{ID: "a"})
	if n, _ := tr.Stats(); n != 0 {
		t.Errorf("%d are blocked", n)
	}
}

// Those whose plans kept colliding are tried again by the clock.
func TestUnblockFailed(t *testing.T) {
	tr := New()
	e := eval("e1", "a", 1)
	e.TriggeredBy = model.TriggerMaxPlans
	tr.Block(e)
	tr.Block(eval("e2", "b", 1))
	if got := ids(tr.UnblockFailed()); got != "e1" {
		t.Errorf("got %q", got)
	}
}
