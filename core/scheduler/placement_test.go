package scheduler

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/droverhq/drover/core/model"
)

// BenchmarkPlacement is part (a) of make bench-placement: the scheduler alone, whole evaluations of new jobs against an
// empty fleet. NODES, COUNT, SPREAD (over 50 racks) and CONSTRAINTS come from the environment.
func BenchmarkPlacement(b *testing.B) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
			return n
		}
		return otherwise
	}
	w := newWorld(b)
	for i := range number("NODES", 5000) {
		n := testNode(fmt.Sprintf("node-%05d", i))
		n.Meta = map[string]string{"rack": fmt.Sprintf("r%d", i%50), "disk": []string{"ssd", "hdd"}[i%2]}
		w.node(n)
	}
	count := number("COUNT", 1200)
	job := testJob(model.JobTypeService, count)
	g := job.TaskGroups[0]
	g.Tasks[0].Resources = &model.Resources{CPU: 20, MemoryMB: 20}
	if os.Getenv("SPREAD") != "" {
		g.Spreads = []model.Spread{{Attribute: "${meta.rack}", Weight: 100}}
	}
	if os.Getenv("CONSTRAINTS") != "" {
		g.Constraints = []model.Constraint{
			{LTarget: "${attr.kernel.name}", Operand: "=", RTarget: "linux"}, {LTarget: "${meta.disk}", Operand: "regexp", RTarget: "^ss"},
		}
	}
	w.job(job)
	w.Fleet()
	ids := 0
	newID := func() string { ids++; return "0123456789-0123456789-" + strconv.Itoa(ids) }
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		out, err := Process(Input{Eval: w.eval(job), State: w, Now: w.now, Seed: uint64(i), NewID: newID})
		if err != nil || len(out.Eval.FailedTGAllocs) > 0 {
			b.Fatal(err, out.Eval)
		}
	}
	b.ReportMetric(float64(b.N*count)/b.Elapsed().Seconds(), "placements/s")
}
