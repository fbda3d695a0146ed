package taskenv

import (
	"testing"

	"github.com/droverhq/drover/core/model"
)

func example() Input {
	task := &model.Task{Name: "web", Meta: map[string]string{"tier": "front"}, Env: map[string]string{}}
	job := &model.Job{
		ID: "shop/dispatch-1", ParentID: "shop", Name: "shop", Namespace: "prod",
		Meta:             map[string]string{"owner": "team a", "tier": "none", "a.b-c": "1"},
		ParameterizedJob: &model.Parameterized{MetaOptional: []string{"note"}},
		TaskGroups:       []*model.TaskGroup{{Name: "g", Tasks: []*model.Task{task, {Name: "db"}}}},
	}
	return Input{
		Node: &model.Node{ID: "n-1", Name: "host-a", Datacenter: "dc1", NodeClass: "big", NodePool: "default",
			Attributes: map[string]string{"cpu.arch": "amd64"}, Meta: map[string]string{"rack": "r7"}},
		Region: "global",
		Alloc: &model.Allocation{ID: "0123456789abcdef", Name: "shop.g[3]", Namespace: "prod", TaskGroup: "g",
			AllocatedResources: &model.AllocatedResources{
				Tasks: map[string]*model.AllocatedTaskResources{
					"web": {Cpu: model.AllocatedCpu{CpuShares: 500, ReservedCores: []uint16{3, 1, 2, 7}}, Memory: model.AllocatedMemory{MemoryMB: 64, MemoryMaxMB: 128},
						Networks: []*model.Network{{IP: "10.0.0.5", ReservedPorts: []model.Port{{Label: "old", Value: 90}}}}},
					"db": {Networks: []*model.Network{{IP: "10.0.0.5", DynamicPorts: []model.Port{{Label: "sql", Value: 20001}}}}},
				},
				Shared: model.AllocatedSharedResources{Ports: []model.AllocatedPort{
					{Label: "http-main", Value: 25000, To: 8080, HostIP: "10.0.0.5"},
					{Label: "admin", Value: 25001, HostIP: "10.0.0.5"},
				}},
			}},
		Job:     job,
		Task:    task,
		Dirs:    Dirs{"/a/alloc", "/a/web/local", "/a/web/secrets"},
		HostEnv: map[string]string{"PATH": "/bin", "NOMAD_DC": "lies"},
	}
}

func TestVariables(t *testing.T) {
	in := example()
	in.Task.Env = map[string]string{
		"ADDR":                   "${NOMAD_ADDR_http_main}",
		"ARCH":                   "${attr.cpu.arch}-${node.attr.cpu.arch}",
		"RACK":                   "${meta.rack} ${node.unique.name} ${node.region}",
		"UNKNOWN":                "${nope} ${attr.nope} $${x",
		"QUOTED":                 `${env["NOMAD_DC"]}`,
		"PATH":                   "/opt:${PATH}",
		"${NOMAD_TASK_NAME}_KEY": "k",
	}
	in.Extra = map[string]string{"DEVICE": "0", "NOMAD_META_x-y": "z"}
	vars := Build(in).Vars()
	want := map[string]string{
		"NOMAD_ALLOC_DIR": "/a/alloc", "NOMAD_TASK_DIR": "/a/web/local", "NOMAD_SECRETS_DIR": "/a/web/secrets",
		"NOMAD_MEMORY_LIMIT": "64", "NOMAD_MEMORY_MAX_LIMIT": "128", "NOMAD_CPU_LIMIT": "500", "NOMAD_CPU_CORES": "1-3,7",
		"NOMAD_ALLOC_ID": "0123456789abcdef", "NOMAD_SHORT_ALLOC_ID": "01234567", "NOMAD_ALLOC_NAME": "shop.g[3]", "NOMAD_ALLOC_INDEX": "3",
		"NOMAD_TASK_NAME": "web", "NOMAD_GROUP_NAME": "g", "NOMAD_JOB_ID": "shop/dispatch-1", "NOMAD_JOB_NAME": "shop", "NOMAD_JOB_PARENT_ID": "shop",
		"NOMAD_DC": "dc1", "NOMAD_REGION": "global", "NOMAD_NAMESPACE": "prod",
		"NOMAD_META_owner": "team a", "NOMAD_META_OWNER": "team a", "NOMAD_META_tier": "front", "NOMAD_META_a_b_c": "1", "NOMAD_META_A_B_C": "1",
		"NOMAD_META_note": "", "NOMAD_META_NOTE": "", "NOMAD_META_x_y": "z",
		"NOMAD_PORT_http_main": "8080", "NOMAD_HOST_PORT_http_main": "25000", "NOMAD_ADDR_http_main": "10.0.0.5:25000", "NOMAD_IP_http_main": "10.0.0.5",
		"NOMAD_HOST_ADDR_http_main": "10.0.0.5:25000", "NOMAD_HOST_IP_http_main": "10.0.0.5", "NOMAD_ALLOC_PORT_http_main": "8080",
		"NOMAD_PORT_admin": "25001",
		"NOMAD_IP_old":     "10.0.0.5", "NOMAD_IPv4_old": "10.0.0.5", "NOMAD_PORT_old": "90", "NOMAD_ADDR_old": "10.0.0.5:90",
		"NOMAD_PORT_db_sql": "20001", "NOMAD_ADDR_db_sql": "10.0.0.5:20001", "NOMAD_IP_db_sql": "10.0.0.5",
		"DROVER_ALLOC_ID": "0123456789abcdef", "DROVER_PORT_http_main": "8080", "DROVER_META_x_y": "z", "DROVER_META_owner": "team a",
		"PATH": "/opt:/bin", "ADDR": "10.0.0.5:25000", "ARCH": "amd64-amd64", "RACK": "r7 host-a global",
		"UNKNOWN": "${nope} ${attr.nope} $${x", "QUOTED": "dc1", "web_KEY": "k", "DEVICE": "0",
	}
	for k, v := range want {
		if got, ok := vars[k]; !ok || got != v {
			t.Errorf("%s = %q (set: %v), want %q", k, got, ok, v)
		}
	}
	for _, k := range []string{"NOMAD_META_a.b-c", "NOMAD_META_x-y", "NOMAD_PARENT_CGROUP", "NOMAD_ALLOC_IP_admin"} {
		if v, ok := vars[k]; ok {
			t.Errorf("%s must not be set, is %q", k, v)
		}
	}
}

func TestNamespaceAddress(t *testing.T) {
	in := example()
	in.Network = &model.AllocNetworkStatus{InterfaceName: "eth0", Address: "172.26.64.9"}
	vars := Build(in).Vars()
	for k, v := range map[string]string{
		"NOMAD_ALLOC_ADDR_http_main": "172.26.64.9:8080", "NOMAD_ALLOC_IP_http_main": "172.26.64.9", "NOMAD_ALLOC_INTERFACE_http_main": "eth0",
	} {
		if vars[k] != v {
			t.Errorf("%s = %q, want %q", k, vars[k], v)
		}
	}
}

// A port's variables are those of the interface that its own network block led to.
func TestAddressOfEachNetwork(t *testing.T) {
	in := example()
	in.Job.TaskGroups[0].Networks = []*model.Network{
		{Mode: "cni/lab", ReservedPorts: []model.Port{{Label: "admin", Value: 25001}}},
		{Mode: "bridge", DynamicPorts: []model.Port{{Label: "http-main", To: 8080}}},
	}
	in.Network = &model.AllocNetworkStatus{InterfaceName: "eth0", Address: "10.30.0.7", Interfaces: []*model.AllocInterface{
		{Name: "eth0", Mode: "cni/lab", Address: "10.30.0.7"}, {Name: "eth1", Mode: "bridge", Address: "fd00::9", AddressIPv6: "fd00::9"},
	}}
	in.Task.Env = map[string]string{"WEB": "http://${NOMAD_ALLOC_ADDR_http_main}/"}
	vars := Build(in).Vars()
	for k, v := range map[string]string{
		"NOMAD_ALLOC_ADDR_http_main": "[fd00::9]:8080", "NOMAD_ALLOC_IP_http_main": "fd00::9", "NOMAD_ALLOC_INTERFACE_http_main": "eth1",
		"DROVER_ALLOC_ADDR_admin": "10.30.0.7:25001", "NOMAD_ALLOC_IP_admin": "10.30.0.7", "NOMAD_ALLOC_INTERFACE_admin": "eth0",
		"WEB": "http://[fd00::9]:8080/",
	} {
		if vars[k] != v {
			t.Errorf("%s = %q, want %q", k, vars[k], v)
		}
	}
}

func TestReplace(t *testing.T) {
	e := Build(example())
	for in, want := range map[string]string{
		"":                                 "",
		"plain":                            "plain",
		"${NOMAD_DC}":                      "dc1",
		"a${NOMAD_DC}b${NOMAD_TASK_NAME}c": "adc1bwebc",
		"${node.class}/${node.pool}":       "big/default",
		"${unknown ${NOMAD_DC}":            "${unknown dc1",
		"${":                               "${",
		"${}":                              "${}",
		`${env["NOPE"]}`:                   `${env["NOPE"]}`,
	} {
		if got := e.Replace(in); got != want {
			t.Errorf("Replace(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestHostEnv(t *testing.T) {
	env := []string{"PATH=/bin", "NOMAD_TOKEN=x", "DROVER_TOKEN=x", "VAULT_TOKEN=x", "EMPTY=", "=C:=odd", "AWS_SECRET_ACCESS_KEY=x", "GITHUB_TOKEN=x", "db_password=x", "NOTIFY_SOCKET=x"}
	got := HostEnv(env, "")
	if len(got) != 2 || got["PATH"] != "/bin" {
		t.Errorf("default list: %v", got)
	}
	if got := HostEnv(env, "*_TOKEN"); got["NOMAD_TOKEN"] != "" || got["db_password"] != "x" {
		t.Errorf("own list of patterns: %v", got)
	}
	if got := HostEnv(env, "PATH, EMPTY"); got["NOMAD_TOKEN"] != "x" || got["PATH"] != "" || len(got) != 7 {
		t.Errorf("own list: %v", got)
	}
}
