package scheduler

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
)

// withConfigs marks the cases in which half of the nodes have a version of the driver that does not accept the config.
const withConfigs = "-configs"

type halfRefuse struct{}

func (halfRefuse) Refusal(_, digest string, _ *model.Task) string {
	if digest == "0" {
		return "config not accepted"
	}
	return ""
}

// BenchmarkProcess runs whole evaluations of new jobs against an empty fleet: reconciling, placing, the plan.
func BenchmarkProcess(b *testing.B) {
	w := newWorld(b)
	for i := range 5000 {
		n := testNode(fmt.Sprintf("node-%05d", i))
		for _, d := range n.Drivers {
			d.SchemaDigest = fmt.Sprint(i % 2)
		}
		for _, name := range []string{"m0", "m1"} {
			d := &model.NodeDevice{Vendor: "acme", Type: "gpu", Name: name, Attributes: map[string]*model.DeviceAttribute{
				"memory": {Int: new(int64(4)), Unit: "GiB"},
			}}
			for id := range 4 {
				d.Instances = append(d.Instances, &model.NodeDeviceInstance{ID: fmt.Sprintf("%s-%d", name, id), Healthy: true})
			}
			n.NodeResources.Devices = append(n.NodeResources.Devices, d)
		}
		n.Meta = map[string]string{"rack": fmt.Sprintf("r%d", i%50)}
		w.node(n)
	}
	for _, c := range []struct {
		name   string
		count  int
		change func(*model.TaskGroup)
	}{
		{"1200", 1200, func(*model.TaskGroup) {}},
		{"1200-over-50-racks", 1200, func(g *model.TaskGroup) {
			g.Spreads = []model.Spread{{Attribute: "${meta.rack}", Weight: 100}}
		}},
		{"1200-with-ports", 1200, func(g *model.TaskGroup) {
			g.Networks = []*model.Network{{DynamicPorts: []model.Port{{Label: "http"}}}}
		}},
		{"1000-with-devices", 1000, func(g *model.TaskGroup) {
			g.Tasks[0].Resources.Devices = []*model.RequestedDevice{{Name: "acme/gpu", Count: 1,
				Constraints: []model.Constraint{{LTarget: "${device.attr.memory}", Operand: ">=", RTarget: "2048 MiB"}},
				Affinities:  []model.Affinity{{LTarget: "${device.model}", Operand: "=", RTarget: "m1", Weight: 50}},
			}}
		}},
		{"1000-with-cores", 1000, func(g *model.TaskGroup) {
			g.Tasks[0].Resources.CPU, g.Tasks[0].Resources.Cores = 0, 1
		}},
		{"1", 1, func(*model.TaskGroup) {}},
		{"1200" + withConfigs, 1200, func(*model.TaskGroup) {}},
		{"1" + withConfigs, 1, func(*model.TaskGroup) {}},
	} {
		b.Run(c.name, func(b *testing.B) {
			job := testJob(model.JobTypeService, c.count)
			job.TaskGroups[0].Tasks[0].Resources = &model.Resources{CPU: 100, MemoryMB: 100}
			c.change(job.TaskGroups[0])
			w.jobs["job"] = []*model.Job{job}
			w.Fleet()
			ids := 0
			newID := func() string { ids++; return "0123456789-0123456789-" + strconv.Itoa(ids) }
			var configs feasible.Configs
			if strings.HasSuffix(c.name, withConfigs) {
				configs = halfRefuse{}
			}
			b.ReportAllocs()
			for i := range b.N {
				out, err := Process(Input{Eval: w.eval(job), State: w, Now: w.now, Seed: uint64(i), NewID: newID, Configs: configs})
				if err != nil || len(out.Eval.FailedTGAllocs) > 0 {
					b.Fatal(err, out.Eval)
				}
			}
			b.ReportMetric(float64(b.N*c.count)/b.Elapsed().Seconds(), "placements/s")
		})
	}
}
