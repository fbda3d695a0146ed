package server

import (
	"slices"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/state"
)

// What can be forgotten, by what is known of it.
func TestFindGarbage(t *testing.T) {
	now := time.Unix(1700000000, 0)
	long, short := now.Add(-48*time.Hour), now.Add(-time.Minute)
	type row struct {
		at time.Time
		fn func(*state.Txn)
	}
	job := func(kind string, change func(*model.Job)) func(*state.Txn) {
		return func(tx *state.Txn) {
			j := testJob("web", 1)
			j.Type = kind
			if change != nil {
				change(j)
			}
			tx.UpsertJob(j, nil, 6)
		}
	}
	eval := func(kind, status string) func(*state.Txn) {
		return func(tx *state.Txn) {
			tx.UpsertEvals(&model.Evaluation{ID: "e", Namespace: "default", JobID: "web", Type: kind, Status: status})
		}
	}
	alloc := func(desired, client string, change func(*model.Allocation)) func(*state.Txn) {
		return func(tx *state.Txn) {
			a := placed("a", "n1", 1)
			a.EvalID, a.DesiredStatus, a.ClientStatus = "e", desired, client
			if change != nil {
				change(a)
			}
			tx.ApplyPlan(&model.PlanResult{NodeAllocation: on(a)}, nil)
		}
	}
	node := func(tx *state.Txn) { n := testNode("n1" + "xx"); n.ID = "n1"; tx.RegisterNode(n, nil) }
	stop := func(j *model.Job) { j.Stop = true }
	const service, batch, run, halt = model.JobTypeService, model.JobTypeBatch, model.AllocDesiredRun, model.AllocDesiredStop
	for name, c := range map[string]struct {
		rows                []row
		jobs, evals, allocs []string
	}{
		"a stopped service goes with all it had": {
			rows: []row{{long, job(service, stop)}, {long, eval(service, model.EvalComplete)}, {long, alloc(halt, model.AllocClientComplete, nil)}},
			jobs: []string{"web"}, evals: []string{"e"}, allocs: []string{"a"},
		},
		"not before its time": {
			rows: []row{{short, job(service, stop)}, {short, eval(service, model.EvalComplete)}},
		},
		"a service that ended by itself stays": {
			rows:  []row{{long, job(service, nil)}, {long, eval(service, model.EvalComplete)}, {long, alloc(run, model.AllocClientComplete, nil)}},
			evals: []string{"e"}, allocs: []string{"a"},
		},
		"a batch job that ended goes": {
			rows: []row{{long, job(batch, nil)}, {long, eval(batch, model.EvalComplete)}, {long, alloc(run, model.AllocClientComplete, nil)}},
			jobs: []string{"web"}, evals: []string{"e"}, allocs: []string{"a"},
		},
		"a tagged job stays": {
			rows:  []row{{long, job(batch, nil)}, {long, func(tx *state.Txn) { tx.TagJobVersion("default", "web", 0, &model.JobVersionTag{Name: "x"}) }}, {long, eval(batch, model.EvalComplete)}},
			evals: []string{"e"},
		},
		"a periodic job stays until it is stopped": {
			rows: []row{{long, job(batch, func(j *model.Job) { j.Periodic = &model.Periodic{} })}},
		},
		"an evaluation that waits keeps its job": {
			rows: []row{{long, job(batch, nil)}, {long, eval(batch, model.EvalBlocked)}},
		},
		"a failed allocation that may be replaced stays, and its evaluation": {
			rows: []row{{long, job(service, nil)}, {long, eval(service, model.EvalComplete)}, {long, alloc(run, model.AllocClientFailed, nil)}, {long, func(tx *state.Txn) {
				tx.ApplyPlan(&model.PlanResult{NodeAllocation: on(placed("live", "n1", 1))}, nil)
			}}},
		},
		"one that was replaced goes": {
			rows: []row{{long, job(service, nil)}, {long, eval(service, model.EvalComplete)}, {long, alloc(run, model.AllocClientFailed, func(a *model.Allocation) { a.NextAllocation = "live" })}, {long, func(tx *state.Txn) {
				tx.ApplyPlan(&model.PlanResult{NodeAllocation: on(placed("live", "n1", 1))}, nil)
			}}},
			evals: []string{"e"}, allocs: []string{"a"},
		},
		"what its node still stops stays": {
			rows: []row{{long, node}, {long, job(service, stop)}, {long, eval(service, model.EvalComplete)}, {long, alloc(halt, model.AllocClientPending, nil)}},
		},
		"when the node is gone it goes": {
			rows: []row{{long, job(service, stop)}, {long, eval(service, model.EvalComplete)}, {long, alloc(halt, model.AllocClientPending, nil)}},
			jobs: []string{"web"}, evals: []string{"e"}, allocs: []string{"a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := state.New(state.Config{})
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range c.rows {
				if err := store.Write(uint64(i+2), r.at, "", func(tx *state.Txn) error { r.fn(tx); return nil }); err != nil {
					t.Fatal(err)
				}
			}
			g := findGarbage(store.Snapshot(), DefaultConfig().GC, now)
			var jobs []string
			for _, j := range g.jobs {
				jobs = append(jobs, j.ID)
			}
			if !slices.Equal(jobs, c.jobs) || !slices.Equal(g.evals, c.evals) || !slices.Equal(g.allocs, c.allocs) {
				t.Errorf("got jobs %v, evals %v, allocs %v; want %v, %v, %v", jobs, g.evals, g.allocs, c.jobs, c.evals, c.allocs)
			}
		})
	}
}
