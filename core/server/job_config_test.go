package server

import (
	"strings"
	"testing"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// nextConfig is what the next version of the driver takes: "args" is gone and "image" is new.
type nextConfig struct {
	Command string `config:"command,required"`
	Image   string `config:"image"`
}

func configJob(id string, count int, config map[string]any) *model.Job {
	j := testJob(id, count)
	j.TaskGroups[0].Tasks[0].Config = config
	return j
}

// A fleet with two versions of a driver: what one of them accepts is accepted, runs there only, and the answer and the
// evaluation name the version that does not accept it.
func TestConfigThatOneVersionAccepts(t *testing.T) {
	s := start(t, nil)
	before, after := join(t, s, runs), joinWith(t, s, schemaOf[nextConfig](t, "2.0.0"), runs)
	job := configJob("web", 5, map[string]any{"command": "x", "args": []any{"${meta.y}"}})
	const refusal = `driver test 2.0.0`

	plan, err := s.PlanJob(deadline(t), &JobPlanRequest{Job: job})
	if err != nil || !strings.Contains(plan.Warnings, "not placed on 1 node with "+refusal) {
		t.Errorf("plan: %+v, %v", plan, err)
	}
	valid, err := s.ValidateJob(deadline(t), job)
	if err != nil || valid.Error != "" || !strings.Contains(valid.Warnings, refusal) || !valid.DriverConfigValidated {
		t.Errorf("validate: %+v, %v", valid, err)
	}
	if answer := register(t, s, job); !strings.Contains(answer.Warnings, refusal) || !strings.Contains(answer.Warnings, "args") {
		t.Errorf("warnings %q", answer.Warnings)
	}
	snap := until(t, s, "five running", func(snap *state.Snapshot) bool { return running(snap, "web") == 5 })
	if on := snap.AllocsByNode(after.id); len(on) != 0 {
		t.Errorf("%d allocations on the node that does not accept the config", len(on))
	}
	if m := snap.AllocsByNode(before.id)[0].Metrics; len(m.ConstraintFiltered) != 1 || m.NodesFiltered != 1 {
		t.Errorf("metrics %+v", m)
	}

	// More than the one node has room for: the evaluation says why the other does not count.
	job = configJob("more", 100, map[string]any{"command": "x", "args": []any{"y"}})
	register(t, s, job)
	var failed *model.AllocMetric
	until(t, s, "a blocked evaluation", func(snap *state.Snapshot) bool {
		for e := range snap.EvalsByJob("default", "more") {
			if m := e.FailedTGAllocs["web"]; m != nil {
				failed = m
			}
		}
		return failed != nil
	})
	found := ""
	for text := range failed.ConstraintFiltered {
		found = text
	}
	if !strings.Contains(found, `config of task "main" not accepted by driver test 2.0.0: `) || !strings.Contains(found, "args") {
		t.Errorf("reasons %v", failed.ConstraintFiltered)
	}

	// A system job goes the same way.
	system := configJob("system", 1, map[string]any{"command": "x", "image": "z"})
	system.Type, system.TaskGroups[0].ReschedulePolicy, system.TaskGroups[0].Migrate = model.JobTypeSystem, nil, nil
	register(t, s, system)
	snap = until(t, s, "the system job", func(snap *state.Snapshot) bool { return running(snap, "system") == 1 })
	if on := snap.AllocsByNode(after.id); len(on) != 1 || on[0].JobID != "system" {
		t.Errorf("%d allocations on the node that accepts the system job's config", len(on))
	}

	// What neither accepts is refused with both versions named, by every way of asking, and nothing is created.
	bad := configJob("bad", 1, map[string]any{"comand": "x"})
	_, err = s.RegisterJob(deadline(t), &JobRegisterRequest{Job: bad})
	_, planErr := s.PlanJob(deadline(t), &JobPlanRequest{Job: bad})
	valid, _ = s.ValidateJob(deadline(t), bad)
	for way, text := range map[string]string{"register": err.Error(), "plan": planErr.Error(), "validate": valid.Error} {
		if !strings.Contains(text, "(driver test 1.0.0)") || !strings.Contains(text, "(driver test 2.0.0)") || !strings.Contains(text, "comand") {
			t.Errorf("%s: %q", way, text)
		}
	}
	if s.state.Snapshot().Job("default", "bad") != nil {
		t.Error("the refused job was stored")
	}
}

// A node whose driver is replaced by a version that accepts the config wakes the job that waits for one.
func TestUpgradedDriverWakesJobs(t *testing.T) {
	s := start(t, nil)
	n := joinWith(t, s, schemaOf[nextConfig](t, "2.0.0"), runs)
	old := join(t, s, runs)
	register(t, s, configJob("web", 1, map[string]any{"command": "x", "args": []any{"y"}}))
	until(t, s, "it runs", func(snap *state.Snapshot) bool { return running(snap, "web") == 1 })
	system := configJob("system", 1, map[string]any{"command": "x", "args": []any{"y"}})
	system.Type, system.TaskGroups[0].ReschedulePolicy, system.TaskGroups[0].Migrate = model.JobTypeSystem, nil, nil
	register(t, s, system)
	until(t, s, "the system job on one node", func(snap *state.Snapshot) bool { return running(snap, "system") == 1 })
	old.leave()
	if _, err := s.DrainNode(deadline(t), &NodeDrainRequest{NodeID: old.id, DrainSpec: &model.DrainSpec{Deadline: -1}}); err != nil {
		t.Fatal(err)
	}
	until(t, s, "a blocked evaluation", func(snap *state.Snapshot) bool {
		for e := range snap.EvalsByJob("default", "web") {
			if e.Status == model.EvalBlocked {
				return true
			}
		}
		return false
	})
	n.leave()
	n.schema = testSchema(t)
	n.connect(s)
	until(t, s, "both on the upgraded node", func(snap *state.Snapshot) bool {
		live := map[string]bool{}
		for _, a := range snap.AllocsByNode(n.id) {
			if a.ClientStatus == model.AllocClientRunning {
				live[a.JobID] = true
			}
		}
		return live["web"] && live["system"]
	})
}

// Schemas come from plugins: one that is too large or no schema at all is not kept, and jobs are accepted with a warning.
func TestBadSchemasAreNotKept(t *testing.T) {
	huge := rpc.DriverSchema{Driver: "test", Version: "1.0.0", Digest: strings.Repeat("a", 64), Spec: make([]byte, maxSchema+1)}
	deep := schemaOf[taskConfig](t, "1.0.0")
	deep.Spec = []byte(strings.Repeat(`{"kind":"block_list","name":"x","nested":`, 2000) + `{"kind":"attr","name":"a","type":"string"}` + strings.Repeat("}", 2000))
	lie := schemaOf[taskConfig](t, "1.0.0")
	lie.Digest = strings.Repeat("b", 64)
	for name, sc := range map[string]rpc.DriverSchema{
		"huge": huge, "deep": deep, "another's digest": lie,
		"garbage": {Driver: "test", Digest: "x", Spec: []byte("\xff\xff\xff")}, "empty": {Driver: "test", Digest: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil)
			joinWith(t, s, sc, runs)
			if kept := s.state.Snapshot().Schemas("test"); len(kept) != 0 {
				t.Errorf("kept %d bytes", len(kept[0].Spec))
			}
			answer := register(t, s, configJob("web", 1, map[string]any{"anything": "goes"}))
			if !strings.Contains(answer.Warnings, "no node has registered a configuration schema") {
				t.Errorf("warnings %q", answer.Warnings)
			}
			until(t, s, "it runs", func(snap *state.Snapshot) bool { return running(snap, "web") == 1 })
		})
	}
}

// What is kept of a node's schemas together has a limit, and so has what is kept in memory.
func TestSchemasAreBounded(t *testing.T) {
	s := start(t, nil)
	var many []rpc.DriverSchema
	pad := strings.Repeat("x", maxSchema/2)
	for i := range 20 {
		text := `{"kind":"object","attributes":{"a":{"kind":"attr","name":"` + pad + string(rune('a'+i)) + `","type":"string"}}}`
		spec, err := decodeSchema([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		many = append(many, rpc.DriverSchema{Driver: "test", Version: "1", Digest: spec.Digest(), Spec: []byte(text)})
	}
	if kept := s.acceptSchemas("n", many); len(kept) == 0 || len(kept) > 2*maxNodeSchemas/maxSchema {
		t.Errorf("kept %d of %d", len(kept), len(many))
	}
	c := newSchemaCache()
	sc := schemaOf[taskConfig](t, "1")
	stored := &state.Schema{Driver: "test", Digest: sc.Digest, Spec: sc.Spec}
	for i := range maxCached + 10 {
		if _, err := c.check(stored, map[string]any{"command": i}); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.verdicts) > maxCached {
		t.Errorf("%d verdicts", len(c.verdicts))
	}
}
