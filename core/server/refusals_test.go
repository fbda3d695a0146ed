package server

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

// What can never be placed is refused when it is submitted, with where it stands and why, and nothing is stored.
func TestRefusedAtSubmit(t *testing.T) {
	s := start(t, nil)
	group := func(change func(*model.TaskGroup)) func(*model.Job) {
		return func(j *model.Job) { change(j.TaskGroups[0]) }
	}
	constraint := func(l, op, r string) func(*model.Job) {
		return group(func(g *model.TaskGroup) {
			g.Constraints = append(g.Constraints, model.Constraint{LTarget: l, Operand: op, RTarget: r})
		})
	}
	device := func(d model.RequestedDevice) func(*model.Job) {
		return group(func(g *model.TaskGroup) { g.Tasks[0].Resources.Devices = []*model.RequestedDevice{&d} })
	}
	for name, c := range map[string]struct {
		change func(*model.Job)
		want   string
	}{
		"impossible constraint": {func(j *model.Job) {
			j.Constraints = []model.Constraint{{LTarget: "${attr.kernel.name}", Operand: "=", RTarget: "linux"}}
			constraint("${attr.kernel.name}", "=", "windows")(j)
		}, `group "web" > constraint: "${attr.kernel.name} = windows" can never hold together with "${attr.kernel.name} = linux" (constraint)`},
		"plain text":     {constraint("kernel.name", "=", "linux"), `group "web" > constraint: "kernel.name = linux" never holds`},
		"regexp":         {constraint("${attr.x}", "regexp", "("), `group "web" > constraint: "(" is no valid regexp: `},
		"version":        {constraint("${attr.x}", "version", ">= one"), `group "web" > constraint: ">= one" is no valid version: `},
		"semver":         {constraint("${attr.x}", "semver", "~> 1"), `group "web" > constraint: "~> 1" is no valid semver: `},
		"operator":       {constraint("${attr.x}", "~", "1"), `group "web" > constraint: unknown operator "~"`},
		"unknown target": {constraint("${job.x}", "=", "1"), `group "web" > constraint: unsupported attribute "${job.x}": `},
		"unknown value":  {constraint("${attr.x}", "=", "${job.x}"), `group "web" > constraint: unsupported attribute "${job.x}": `},
		"spread above 100": {group(func(g *model.TaskGroup) {
			g.Spreads = []model.Spread{{Attribute: "${meta.rack}", Weight: 50, SpreadTarget: []model.SpreadTarget{{Value: "a", Percent: 60}, {Value: "b", Percent: 50}}}}
		}), `group "web" > spread "${meta.rack}": the targets' percentages sum up to 110, at most 100`},
		"spread weight": {group(func(g *model.TaskGroup) {
			g.Spreads = []model.Spread{{Attribute: "${meta.rack}", Weight: 101}}
		}), `group "web" > spread "${meta.rack}": weight must be within 1..100, got 101`},
		"negative count":   {group(func(g *model.TaskGroup) { g.Count = -1 }), `group "web": count must be at least 0, got -1`},
		"ten million":      {group(func(g *model.TaskGroup) { g.Count = 10_000_000 }), `the counts of all groups sum up to 10000000, the limit is 50000 (job_max_count)`},
		"no device":        {device(model.RequestedDevice{Name: "gpu"}), `device "gpu": count must be at least 1, got 0`},
		"too many devices": {device(model.RequestedDevice{Name: "gpu", Count: 1 << 40}), `device "gpu": count must be at most `},
		"circle of env":    {group(func(g *model.TaskGroup) { g.Tasks[0].Env = map[string]string{"A": "${B}", "B": "${A}"} }), `group "web" > task "main" > env: the variables refer to each other in a circle: A -> B -> A`},
		"unknown variable": {group(func(g *model.TaskGroup) { g.Tasks[0].Env = map[string]string{"A": "x ${nope}"} }), `group "web" > task "main" > env: A refers to ${nope}: no such variable`},
		"unknown root":     {group(func(g *model.TaskGroup) { g.Tasks[0].Env = map[string]string{"A": "${job.name}"} }), `group "web" > task "main" > env: A refers to ${job.name}: there is no "job" to refer to`},
		"cron that never fires": {func(j *model.Job) {
			j.Type, j.Update, j.TaskGroups[0].Update = model.JobTypeBatch, nil, nil
			j.Periodic = &model.Periodic{Enabled: true, Specs: []string{"0 0 30 2 *"}, SpecType: "cron", TimeZone: "UTC"}
		}, `periodic: the job would never run: no time to come matches crons`},
		"cron of the past": {func(j *model.Job) {
			j.Type, j.Update, j.TaskGroups[0].Update = model.JobTypeBatch, nil, nil
			j.Periodic = &model.Periodic{Enabled: true, Specs: []string{"0 0 12 1 1 * 2001"}, SpecType: "cron", TimeZone: "UTC"}
		}, `periodic: the job would never run: no time to come matches crons`},
		"never healthy": {group(func(g *model.TaskGroup) {
			g.Update = &model.Update{MaxParallel: 1, HealthCheck: "checks", MinHealthyTime: 6 * time.Minute, HealthyDeadline: 5 * time.Minute, ProgressDeadline: 10 * time.Minute, Stagger: time.Second}
		}), `group "web" > update: min_healthy_time (6m0s) must be less than healthy_deadline (5m0s)`},
		"progress before health": {group(func(g *model.TaskGroup) {
			g.Update = &model.Update{MaxParallel: 1, HealthCheck: "checks", HealthyDeadline: 5 * time.Minute, ProgressDeadline: time.Minute, Stagger: time.Second}
		}), `group "web" > update: healthy_deadline (5m0s) must be less than progress_deadline (1m0s)`},
		"deadline without a deadline": {group(func(g *model.TaskGroup) {
			g.Update = &model.Update{MaxParallel: 1, HealthCheck: "checks", HealthyDeadline: time.Minute, Stagger: time.Second, OnDeadline: "revert"}
		}), `group "web" > update: on_deadline = "revert" needs a progress_deadline: with 0 there is none`},
		"surge without a roll-out": {group(func(g *model.TaskGroup) {
			g.Update = &model.Update{HealthCheck: "checks", HealthyDeadline: time.Minute, Stagger: time.Second, MaxSurge: 1}
		}), `group "web" > update: max_surge needs max_parallel to be at least 1`},
		"distinct property": {constraint("${meta.rack}", model.OpDistinctProperty, "0"), `group "web" > constraint: distinct_property takes a number from 1, got "0"`},
	} {
		t.Run(name, func(t *testing.T) {
			j := testJob("refused", 1)
			c.change(j)
			_, err := s.RegisterJob(deadline(t), &JobRegisterRequest{Job: j})
			if !errors.Is(err, rpc.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, err := s.PlanJob(deadline(t), &JobPlanRequest{Job: j}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("plan: got %v, want %q", err, c.want)
			}
			if s.state.Snapshot().Job("default", "refused") != nil {
				t.Error("the refused job was stored")
			}
		})
	}
}
