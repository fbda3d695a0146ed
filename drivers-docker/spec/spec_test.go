package spec

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/droverhq/drover/drivers-docker/config"
	"github.com/droverhq/drover/sdk/driver"
)

// input is a plain task on a plain node.
func input() Input {
	return Input{
		Task: &driver.TaskConfig{
			ID: "a1/web/1", Name: "web", AllocID: "a1", AllocDir: "/data/a1", NodeID: "n1", JobID: "shop", Namespace: "default",
			Env:       map[string]string{"NOMAD_ALLOC_DIR": "/alloc", "NOMAD_TASK_DIR": "/local", "NOMAD_SECRETS_DIR": "/secrets", "NOMAD_PORT_http": "20001"},
			Resources: driver.Resources{MemoryMB: 100, Linux: driver.LinuxResources{CPUShares: 500, PercentTicks: 0.25}},
		},
		Plugin: config.Plugin{}.WithDefaults(), Node: Node{CgroupV1: true, Cores: 4, TotalMHz: 8000}, ImageID: "sha256:1", Owner: Owner{Node: "n1"},
	}
}

func TestCreate(t *testing.T) {
	port := func(s string) network.Port { return network.MustParsePort(s) }
	for name, test := range map[string]struct {
		change func(in *Input)
		get    func(r *Request) any
		want   any
	}{
		"name":                {nil, func(r *Request) any { return r.Create.Name }, "web-a1"},
		"command and args":    {func(in *Input) { in.Config.Command, in.Config.Args = "a", []string{"b"} }, func(r *Request) any { return r.Create.Config.Cmd }, []string{"a", "b"}},
		"args alone":          {func(in *Input) { in.Config.Args = []string{"b"} }, func(r *Request) any { return r.Create.Config.Cmd }, []string{"b"}},
		"memory":              {nil, func(r *Request) any { return memoryFigures(r) }, [3]int64{100 << 20, 0, 100 << 20}},
		"memory_max":          {func(in *Input) { in.Task.Resources.MemoryMaxMB = 300 }, func(r *Request) any { return memoryFigures(r) }, [3]int64{300 << 20, 100 << 20, 300 << 20}},
		"memory_hard_limit":   {func(in *Input) { in.Config.MemoryHardLimit = 200 }, func(r *Request) any { return memoryFigures(r) }, [3]int64{200 << 20, 100 << 20, 200 << 20}},
		"the larger limit":    {func(in *Input) { in.Config.MemoryHardLimit, in.Task.Resources.MemoryMaxMB = 200, 300 }, func(r *Request) any { return memoryFigures(r) }, [3]int64{300 << 20, 100 << 20, 300 << 20}},
		"memory without end":  {func(in *Input) { in.Task.Resources.MemoryMaxMB = -1 }, func(r *Request) any { return memoryFigures(r) }, [3]int64{0, 100 << 20, 0}},
		"swappiness":          {nil, func(r *Request) any { return *r.Create.HostConfig.MemorySwappiness }, int64(0)},
		"no swappiness on v2": {func(in *Input) { in.Node.CgroupV1 = false }, func(r *Request) any { return r.Create.HostConfig.MemorySwappiness == nil }, true},
		"cpu weight":          {nil, func(r *Request) any { return r.Create.HostConfig.CPUShares }, int64(500)},
		"least weight":        {func(in *Input) { in.Task.Resources.Linux.CPUShares = 1 }, func(r *Request) any { return r.Create.HostConfig.CPUShares }, int64(2)},
		"weight of a large node": {func(in *Input) { in.Node.TotalMHz = 2 * 262144 }, func(r *Request) any { return r.Create.HostConfig.CPUShares },
			int64(250)},
		"cpu quota":        {func(in *Input) { in.Config.CPUHardLimit, in.Config.CPUCFSPeriod = true, 50000 }, func(r *Request) any { return r.Create.HostConfig.CPUQuota }, int64(50000)},
		"reserved cores":   {func(in *Input) { in.Task.Resources.Linux.CpusetCpus, in.Cpuset = "2,3", "0-1" }, func(r *Request) any { return r.Create.HostConfig.CpusetCpus }, "2,3"},
		"shared cores":     {func(in *Input) { in.Cpuset = "0-1" }, func(r *Request) any { return r.Create.HostConfig.CpusetCpus }, "0-1"},
		"cpuset_cpus":      {func(in *Input) { in.Config.CpusetCPUs = "7" }, func(r *Request) any { return r.Create.HostConfig.CpusetCpus == "" && len(r.Warnings) == 1 }, true},
		"pids of the node": {func(in *Input) { in.Plugin.PidsLimit = 9 }, func(r *Request) any { return *r.Create.HostConfig.PidsLimit }, int64(9)},
		"no pids limit":    {nil, func(r *Request) any { return r.Create.HostConfig.PidsLimit == nil }, true},
		"capabilities": {nil, func(r *Request) any {
			return len(r.Create.HostConfig.CapAdd) == 13 && !slices.Contains(r.Create.HostConfig.CapAdd, "NET_RAW")
		}, true},
		"cap_drop, cap_add": {func(in *Input) { in.Config.CapDrop, in.Config.CapAdd = []string{"all"}, []string{"cap_chown"} },
			func(r *Request) any { return r.Create.HostConfig.CapAdd }, []string{"CHOWN"}},
		"narrow ceiling": {func(in *Input) { in.Plugin.AllowCaps = []string{"kill"} }, func(r *Request) any { return r.Create.HostConfig.CapAdd }, []string{"KILL"}},
		"gpu":            {func(in *Input) { in.Task.DeviceEnv = map[string]string{"NVIDIA_VISIBLE_DEVICES": "GPU-1"} }, func(r *Request) any { return r.Create.HostConfig.Runtime }, "nvidia"},
		"runtime wins over gpu": {func(in *Input) {
			in.Task.DeviceEnv, in.Config.Runtime = map[string]string{"NVIDIA_VISIBLE_DEVICES": "GPU-1"}, "runc"
		}, func(r *Request) any { return r.Create.HostConfig.Runtime }, "runc"},
		"log driver": {nil, func(r *Request) any { return r.Create.HostConfig.LogConfig },
			container.LogConfig{Type: "json-file", Config: map[string]string{"max-file": "2", "max-size": "2m"}}},
		"task's log driver": {func(in *Input) { in.Config.Logging = config.TaskLogging{Driver: "journald"} }, func(r *Request) any { return r.Create.HostConfig.LogConfig },
			container.LogConfig{Type: "journald"}},
		"shared namespace": {func(in *Input) { in.SharedNetwork = "p1"; in.Config.Hostname = "h" },
			func(r *Request) any { return string(r.Create.HostConfig.NetworkMode) + r.Create.Config.Hostname }, "container:p1"},
		"network_mode wins": {func(in *Input) { in.SharedNetwork, in.Config.NetworkMode = "p1", "host" }, func(r *Request) any { return string(r.Create.HostConfig.NetworkMode) }, "host"},
		"ports": {func(in *Input) {
			in.Config.Ports, in.Task.Resources.Ports = []string{"http"}, []driver.Port{{Label: "http", Value: 20001, To: 80}}
		}, func(r *Request) any {
			return r.Create.HostConfig.PortBindings[port("80/udp")][0].HostPort + " " + strings.Join(r.Create.Config.Env, ",")
		}, "20001 NOMAD_ALLOC_DIR=/alloc,NOMAD_PORT_http=80,NOMAD_SECRETS_DIR=/secrets,NOMAD_TASK_DIR=/local"},
		"no ports in a shared namespace": {func(in *Input) {
			in.SharedNetwork = "p1"
			in.Config.Ports, in.Task.Resources.Ports = []string{"http"}, []driver.Port{{Label: "http", Value: 20001, To: 80}}
		}, func(r *Request) any { return len(r.Create.HostConfig.PortBindings) + len(r.Ports) }, 0},
		"port_map": {func(in *Input) {
			in.Config.PortMap = map[string]int{"http": 8080}
			in.Task.Resources.Networks = []driver.Network{{IP: "10.0.0.1", DynamicPorts: []driver.NetworkPort{{Label: "http", Value: 20001}}}}
		}, func(r *Request) any { return r.Create.HostConfig.PortBindings[port("8080/tcp")][0].HostIP.String() }, "10.0.0.1"},
		"host volume": {func(in *Input) {
			in.Task.Mounts = []driver.Mount{{HostPath: "/h", TaskPath: "/t", Propagation: "bidirectional"}}
		}, func(r *Request) any { return string(r.Create.HostConfig.Mounts[0].BindOptions.Propagation) }, "rshared"},
		"binds": {func(in *Input) { in.Config.Volumes, in.Plugin.Volumes.SELinuxLabel = []string{"d:/d:ro"}, "z" }, func(r *Request) any { return r.Create.HostConfig.Binds }, []string{
			"/data/a1/alloc:/alloc:z", "/data/a1/web/local:/local:z", "/data/a1/web/secrets:/secrets:z", "/data/a1/alloc/logs:/alloc/logs:ro,z", "/data/a1/web/d:/d:ro,z",
		}},
		"volume driver": {func(in *Input) {
			in.Plugin.Volumes.Enabled = true
			in.Config.VolumeDriver, in.Config.Volumes = "nfs", []string{"name:/d"}
		}, func(r *Request) any { return r.Create.HostConfig.Binds[4] }, "name:/d"},
		"windows": {func(in *Input) {
			in.Node.Windows = true
			in.Config.Volumes = []string{`c:\data\a1\x:c:\x`}
			in.Plugin.Volumes.Enabled = true
		}, func(r *Request) any {
			h := r.Create.HostConfig
			return string(h.Isolation) == "hyperv" && h.MemorySwap == 0 && h.CapDrop == nil
		}, true},
		"healthcheck": {func(in *Input) { in.Config.Healthchecks.Disable = true }, func(r *Request) any { return r.Create.Config.Healthcheck.Test }, []string{"NONE"}},
		"labels": {func(in *Input) {
			in.Plugin.ExtraLabels, in.Config.Labels = []string{"job_*"}, map[string]string{"team": "x", "com.hashicorp.nomad.alloc_id": "false"}
		}, func(r *Request) any { return r.Create.Config.Labels }, map[string]string{
			"team": "x", "com.hashicorp.nomad.job_id": "shop", "com.hashicorp.nomad.alloc_id": "a1", LabelKind: KindTask, LabelAlloc: "a1",
			LabelTask: "web", LabelTaskID: "a1/web/1", LabelTaskDir: "/data/a1/web", LabelNode: "n1",
		}},
		"ulimit": {func(in *Input) { in.Config.Ulimit = map[string]string{"nofile": "10:20"} }, func(r *Request) any { return *r.Create.HostConfig.Ulimits[0] },
			container.Ulimit{Name: "nofile", Soft: 10, Hard: 20}},
		"devices": {func(in *Input) {
			in.Config.Devices = []config.Device{{HostPath: "/dev/a"}}
			in.Task.Devices = []driver.Device{{HostPath: "/dev/b", TaskPath: "/dev/c", Permissions: "r"}}
		}, func(r *Request) any { return r.Create.HostConfig.Devices },
			[]container.DeviceMapping{{PathOnHost: "/dev/a", PathInContainer: "/dev/a", CgroupPermissions: "rwm"}, {PathOnHost: "/dev/b", PathInContainer: "/dev/c", CgroupPermissions: "r"}}},
		"fixed address": {func(in *Input) { in.Config.NetworkMode, in.Config.IPv4Address = "mine", "10.0.0.9" },
			func(r *Request) any {
				return r.Create.NetworkingConfig.EndpointsConfig["mine"].IPAMConfig.IPv4Address.String()
			}, "10.0.0.9"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input()
			if test.change != nil {
				test.change(&in)
			}
			r, err := Create(in)
			if err != nil {
				t.Fatal(err)
			}
			if got := test.get(r); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
		})
	}
}

func memoryFigures(r *Request) [3]int64 {
	h := r.Create.HostConfig
	return [3]int64{h.Memory, h.MemoryReservation, h.MemorySwap}
}

func TestCreateRefuses(t *testing.T) {
	for want, change := range map[string]func(in *Input){
		"allow_privileged":                          func(in *Input) { in.Config.Privileged = true },
		"allow_runtimes":                            func(in *Input) { in.Config.Runtime = "kata" },
		"pids_limit 10 is more":                     func(in *Input) { in.Config.PidsLimit, in.Plugin.PidsLimit = 10, 5 },
		"NET_ADMIN is not allowed":                  func(in *Input) { in.Config.CapAdd = []string{"net_admin"} },
		"ALL is not allowed":                        func(in *Input) { in.Config.CapAdd = []string{"all"} },
		"ipc_mode \"host\"":                         func(in *Input) { in.Config.IPCMode = "host" },
		"outside the allocation's":                  func(in *Input) { in.Config.Volumes = []string{"/etc:/e"} },
		"symbolic link":                             func(in *Input) { in.Config.Volumes = []string{"l:/e"}; in.Pin = linkToEtc },
		"/data/a1/web is not the task's own":        func(in *Input) { in.Config.Volumes = []string{".:/e"} },
		"/data/a1 is not the task's own":            func(in *Input) { in.Config.Volumes = []string{"..:/e"} },
		"/data/a1/db/secrets is not the task's":     func(in *Input) { in.Config.Volumes = []string{"../db/secrets:/e"} },
		"/data/a1/web/private/x is the agent's":     func(in *Input) { in.Config.Volumes = []string{"local/../private/x:/e"} },
		"/data/a1/web/.docker.claim is the agent's": func(in *Input) { in.Config.Volumes = []string{".docker.claim:/e"} },
		"mount: host path /data/a1/web is not":      func(in *Input) { in.Config.Mount = []config.Mount{{Type: "bind", Source: ".", Target: "/e"}} },
		"pids_limit -1 (no limit) is more":          func(in *Input) { in.Config.PidsLimit, in.Plugin.PidsLimit = -1, 5 },
		"device /dev/../etc/x is not allowed": func(in *Input) {
			in.Config.Devices, in.Plugin.AllowDevices = []config.Device{{HostPath: "/dev/../etc/x"}}, []string{"/dev/*"}
		},
		"only none; the operator can add it to allow_devices": func(in *Input) {
			in.Config.Devices, in.Plugin.AllowDevices = []config.Device{{HostPath: "/dev/x"}}, []string{}
		},
		"allow_security_opt": func(in *Input) {
			in.Config.SecurityOpt, in.Plugin.AllowSecurityOpt = []string{"seccomp=unconfined"}, []string{"no-new-*"}
		},
		"extra_hosts: \"a\\nb:10.0.0.1\"":        func(in *Input) { in.Config.ExtraHosts = []string{"a\nb:10.0.0.1"} },
		"dns_search_domains: \"a b\"":            func(in *Input) { in.Config.DNSSearchDomains = []string{"a b"} },
		"mount: target \"e\" is not an absolute": func(in *Input) { in.Config.Mount = []config.Mount{{Type: "bind", Source: "local/x", Target: "e"}} },
		"dns_options: \"a\\nb\"":                 func(in *Input) { in.Config.DNSOptions = []string{"a\nb"} },
		"not source:target":                      func(in *Input) { in.Config.Volumes = []string{"/etc"} },
		"not an absolute path":                   func(in *Input) { in.Config.Volumes = []string{"a:b"} },
		"soft limit is more":                     func(in *Input) { in.Config.Ulimit = map[string]string{"nofile": "9:3"} },
		"has no port \"x\", only http": func(in *Input) {
			in.Config.Ports = []string{"x"}
			in.Task.Resources.Ports = []driver.Port{{Label: "http", Value: 1}}
		},
		"no network of its own": func(in *Input) { in.Config.PortMap = map[string]int{"x": 1} },
		"need network_mode":     func(in *Input) { in.Config.NetworkAliases = []string{"x"} },
		"mac_address needs":     func(in *Input) { in.Config.MacAddress, in.Node.API = "02:42:ac:11:00:99", "1.41" },
		"not such an address":   func(in *Input) { in.Config.NetworkMode, in.Config.IPv4Address = "mine", "::1" },
		"names that begin with": func(in *Input) { in.Config.Labels = map[string]string{LabelNode: "other"} },
		"driver_config is not allowed": func(in *Input) {
			in.Config.Mounts = []config.Mount{{Target: "/x", VolumeOptions: config.VolumeOptions{DriverConfig: config.VolumeDriver{Name: "nfs"}}}}
		},
		"a tmpfs has no source":         func(in *Input) { in.Config.Mount = []config.Mount{{Type: "tmpfs", Source: "x", Target: "/x"}} },
		"windows_allow_insecure":        func(in *Input) { in.Node.Windows, in.ImageUser = true, "ContainerAdministrator" },
		"propagation mode \"sideways\"": func(in *Input) { in.Task.Mounts = []driver.Mount{{Propagation: "sideways"}} },
		"dns_servers: \"x\" is not":     func(in *Input) { in.Config.DNSServers = []string{"x"} },
	} {
		t.Run(want, func(t *testing.T) {
			in := input()
			change(&in)
			if _, err := Create(in); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func linkToEtc(area, rel string, _ bool) (string, error) {
	switch filepath.Join(area, rel) {
	case "/data/a1/alloc/logs":
		return "/data/a1/alloc/logs", nil
	case "/data/a1/web/l":
		return "", errors.New("leads out through a symbolic link")
	}
	return "", errors.New("asked for " + area + " and " + rel)
}

// What tasks can replace is asked for below what they cannot.
func TestHostPaths(t *testing.T) {
	for source, want := range map[string]string{
		"local":              "/data/a1/web/local + .",
		"local/conf/x":       "/data/a1/web/local + conf/x",
		"secrets/key":        "/data/a1/web/secrets + key",
		"app.conf":           "/data/a1/web/app.conf + .",
		"custom/nginx.conf":  "/data/a1/web/custom + nginx.conf",
		"../alloc":           "/data/a1/alloc + .",
		"../alloc/data/d":    "/data/a1/alloc + data/d",
		"/data/a1/alloc/x":   "/data/a1/alloc + x",
		"/data/a1/web/tmp/x": "/data/a1/web/tmp + x",
	} {
		in := input()
		in.Pin = func(area, rel string, create bool) (string, error) { return area + " + " + rel, nil }
		in.Config.Volumes = []string{source + ":/x"}
		r, err := Create(in)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		binds := r.Create.HostConfig.Binds
		if got := binds[3:]; !slices.Equal(got, []string{"/data/a1/alloc + logs:/alloc/logs:ro", want + ":/x"}) {
			t.Errorf("%s: got %q", source, got)
		}
	}
}

func TestResolverFiles(t *testing.T) {
	for want, dns := range map[string]driver.DNS{
		"servers: \"1.2.3.4\\n":  {Servers: []string{"1.2.3.4\nx"}},
		"servers: \"::1%a\\nb\"": {Servers: []string{"::1%a\nb"}},
		"servers: \"dns.example": {Servers: []string{"dns.example"}},
		"searches: \"x\\n* *":    {Searches: []string{"x\n* * * * * root id"}},
		"options: \"\"":          {Options: []string{""}},
	} {
		if got, err := ResolvFile(&dns); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v", want, got, err)
		}
	}
	for _, hosts := range []driver.HostsConfig{{Address: "10.0.0.1", Hostname: "a\nb"}, {Address: "x y", Hostname: "a"}} {
		if got, err := HostsFile(&hosts, nil); err == nil {
			t.Errorf("%+v: got %q", hosts, got)
		}
	}
	if got, err := HostsFile(nil, []string{"a\n10.0.0.9 b:10.0.0.1"}); err == nil {
		t.Errorf("extra_hosts: got %q", got)
	}
}

func TestOwns(t *testing.T) {
	mine := Owner{Node: "n1", Cluster: "c1"}
	for name, test := range map[string]struct {
		owner  Owner
		labels map[string]string
		want   bool
	}{
		"mine":                   {mine, map[string]string{LabelNode: "n1", LabelCluster: "c1"}, true},
		"other node":             {mine, map[string]string{LabelNode: "n2", LabelCluster: "c1"}, false},
		"other cluster":          {mine, map[string]string{LabelNode: "n1", LabelCluster: "c2"}, false},
		"somebody's":             {mine, map[string]string{"com.hashicorp.nomad.alloc_id": "x"}, false},
		"I do not know who I am": {Owner{}, map[string]string{LabelNode: ""}, false},
	} {
		if got := test.owner.Owns(test.labels); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestWindowsVolumes(t *testing.T) {
	for text, want := range map[string][3]string{
		`c:\a:d:\b`:                       {`c:\a`, `d:\b`, ""},
		`c:\a:d:\b:ro`:                    {`c:\a`, `d:\b`, "ro"},
		`name:c:\b`:                       {"name", `c:\b`, ""},
		`\\.\pipe\docker:\\.\pipe\docker`: {`\\.\pipe\docker`, `\\.\pipe\docker`, ""},
	} {
		source, target, mode, err := splitVolume(text, true)
		if err != nil || [3]string{source, target, mode} != want {
			t.Errorf("%s: got %q %q %q, %v", text, source, target, mode, err)
		}
	}
}
