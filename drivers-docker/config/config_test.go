package config

import (
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/sdk/schema"
)

func TestSchemas(t *testing.T) {
	if _, err := schema.Of[Plugin](); err != nil {
		t.Error(err)
	}
	if _, err := schema.Of[Task](); err != nil {
		t.Error(err)
	}
}

func TestDefaults(t *testing.T) {
	spec, err := schema.Of[Plugin]()
	if err != nil {
		t.Fatal(err)
	}
	data, err := spec.Encode(map[string]any{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var p Plugin
	if err := schema.Decode(data, &p); err != nil {
		t.Fatal(err)
	}
	p = p.WithDefaults()
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	if !p.GC.Image || p.GC.ImageDelay != 3*time.Minute || !p.GC.Container || !p.GC.DanglingContainers.Enabled || p.PullActivityTimeout != 2*time.Minute ||
		p.Logging.Config["max-size"] != "2m" || strings.Join(p.AllowRuntimes, ",") != "runc,nvidia" || len(p.AllowCaps) != 13 || p.ContainerExistsAttempts != 5 {
		t.Errorf("got %+v", p)
	}
}

func TestCheckPlugin(t *testing.T) {
	for want, change := range map[string]func(p *Plugin){
		"pull_activity_timeout":      func(p *Plugin) { p.PullActivityTimeout = time.Second },
		"creation_grace":             func(p *Plugin) { p.GC.DanglingContainers.CreationGrace = time.Second },
		"dangling_containers.period": func(p *Plugin) { p.GC.DanglingContainers.Period = 0 },
		"image_delay":                func(p *Plugin) { p.GC.ImageDelay = -1 },
		"pids_limit":                 func(p *Plugin) { p.PidsLimit = -1 },
		"cert and key":               func(p *Plugin) { p.TLS.Cert = "x" },
		"allowed_modes.pid":          func(p *Plugin) { p.AllowedModes.PID = []string{"private"} },
		"allowed_modes.uts":          func(p *Plugin) { p.AllowedModes.UTS = []string{"container:x"} },
	} {
		p := Plugin{PullActivityTimeout: time.Hour, GC: GC{DanglingContainers: Dangling{Enabled: true, Period: time.Hour, CreationGrace: time.Hour}}}
		change(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestCheckTask(t *testing.T) {
	for path, task := range map[string]Task{
		"image":                         {},
		"cpu_cfs_period":                {Image: "x", CPUCFSPeriod: 2_000_000},
		"cgroupns":                      {Image: "x", CgroupNS: "mine"},
		"isolation":                     {Image: "x", Isolation: "none"},
		"devices[0].cgroup_permissions": {Image: "x", Devices: []Device{{HostPath: "/dev/x", CgroupPermissions: "z"}}},
		"mount[0].target":               {Image: "x", Mount: []Mount{{}}},
		"port_map":                      {Image: "x", PortMap: schema.NumberMap{"a": 1}, Ports: []string{"a"}},
	} {
		found := task.Check()
		if len(found) != 1 || found[0].Path != path {
			t.Errorf("%s: got %v", path, found)
		}
	}
	if found := (Task{Image: "x"}).Check(); len(found) != 0 {
		t.Errorf("got %v", found)
	}
}

func TestAllowedModes(t *testing.T) {
	p := Plugin{AllowedModes: AllowedModes{PID: []string{"container:db-*"}, IPC: []string{"host"}}}
	for name, test := range map[string]struct {
		task Task
		ok   bool
	}{
		"nothing":        {Task{}, true},
		"glob":           {Task{PIDMode: "container:db-1"}, true},
		"glob, no match": {Task{PIDMode: "container:web-1"}, false},
		"exact":          {Task{IPCMode: "host"}, true},
		"not allowed":    {Task{UserNSMode: "host"}, false},
	} {
		if err := p.Allow(test.task); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.AllowPrivileged = true
	if err := p.Allow(Task{UserNSMode: "host"}); err != nil {
		t.Error(err)
	}
}
