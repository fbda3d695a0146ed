package catalog

import (
	"fmt"
	"testing"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/sdk/driver"
)

func TestAddresses(t *testing.T) {
	node := &model.Node{ID: "n1", Datacenter: "dc1", Attributes: map[string]string{"unique.network.ip-address": "10.0.0.9"}}
	override := &driver.NetworkOverride{Addr: "172.17.0.2", PortMap: map[string]int{"http": 80}}
	advertised := &driver.NetworkOverride{Addr: "172.17.0.2", AutoAdvertise: true}
	for name, c := range map[string]struct {
		service model.Service
		net     *driver.NetworkOverride
		want    string // "" = refused
	}{
		"auto is the host's":             {model.Service{PortLabel: "http"}, nil, "10.0.0.5:25000"},
		"auto with an override":          {model.Service{PortLabel: "http"}, override, "10.0.0.5:25000"},
		"auto, driver advertises":        {model.Service{PortLabel: "http", AddressMode: "auto"}, advertised, "172.17.0.2:8080"},
		"host":                           {model.Service{PortLabel: "http", AddressMode: "host"}, advertised, "10.0.0.5:25000"},
		"driver with a map":              {model.Service{PortLabel: "http", AddressMode: "driver"}, override, "172.17.0.2:80"},
		"driver without an address":      {model.Service{PortLabel: "http", AddressMode: "driver"}, nil, ""},
		"driver, number":                 {model.Service{PortLabel: "9000", AddressMode: "driver"}, override, "172.17.0.2:9000"},
		"alloc":                          {model.Service{PortLabel: "http", AddressMode: "alloc"}, nil, "172.26.64.3:8080"},
		"alloc ipv6":                     {model.Service{PortLabel: "http", AddressMode: "alloc_ipv6"}, nil, "fd00::3:8080"},
		"an address of its own":          {model.Service{PortLabel: "http", Address: "web.example"}, nil, "web.example:25000"},
		"no port":                        {model.Service{}, nil, "10.0.0.9:0"},
		"wildcard port gives the node's": {model.Service{PortLabel: "any"}, nil, "10.0.0.9:25001"},
		"a port of a task's own network": {model.Service{PortLabel: "old"}, nil, "10.0.0.7:9090"},
		"a label that nobody has":        {model.Service{PortLabel: "nope"}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.service
			s.Name, s.Tags, s.CanaryTags = "web-${NOMAD_GROUP_NAME}", []string{"v-${NOMAD_TASK_NAME}"}, []string{"canary"}
			task := &model.Task{Name: "t", Services: []*model.Service{&s}}
			job := &model.Job{ID: "j", TaskGroups: []*model.TaskGroup{{Name: "g", Tasks: []*model.Task{task}}}}
			alloc := &model.Allocation{ID: "a1", JobID: "j", Job: job, TaskGroup: "g", Namespace: "default",
				NetworkStatus: &model.AllocNetworkStatus{Address: "172.26.64.3", AddressIPv6: "fd00::3"},
				AllocatedResources: &model.AllocatedResources{
					Tasks: map[string]*model.AllocatedTaskResources{"t": {Networks: []*model.Network{{IP: "10.0.0.7", ReservedPorts: []model.Port{{Label: "old", Value: 9090}}}}}},
					Shared: model.AllocatedSharedResources{Ports: []model.AllocatedPort{
						{Label: "http", Value: 25000, To: 8080, HostIP: "10.0.0.5"}, {Label: "any", Value: 25001, HostIP: "0.0.0.0"},
					}},
				}}
			env := taskenv.Build(taskenv.Input{Node: node, Alloc: alloc, Job: job, Task: task})
			regs, err := Registrations(node, alloc, env, Owner{Task: "t", Network: c.net})
			if c.want == "" {
				if err == nil || len(regs) != 0 {
					t.Errorf("got %+v, want an error", regs)
				}
				return
			}
			if err != nil || len(regs) != 1 {
				t.Fatalf("%+v %v", regs, err)
			}
			r := regs[0]
			if got := fmt.Sprintf("%s:%d", r.Address, r.Port); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if r.ID != "_nomad-task-a1-t-web-g-"+s.PortLabel || r.ServiceName != "web-g" || r.Tags[0] != "v-t" {
				t.Errorf("%+v", r)
			}
			alloc.DeploymentStatus = &model.AllocDeploymentStatus{Canary: true}
			if regs, _ := Registrations(node, alloc, env, Owner{Task: "t", Network: c.net}); regs[0].Tags[0] != "canary" {
				t.Errorf("canary's tags %v", regs[0].Tags)
			}
		})
	}
}
