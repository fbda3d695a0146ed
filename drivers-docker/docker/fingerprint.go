package docker

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/drivers-docker/config"
	"github.com/droverhq/drover/drivers-docker/spec"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/driver"
)

// lookTimeout bounds one look at the engine, so that one that hangs shows as unhealthy soon.
const lookTimeout = 5 * time.Second

// facts are what the last look at the engine found.
type facts struct {
	seen         bool // the engine answered once
	windows      bool
	cgroupV1     bool
	liveRestore  bool
	cores        int
	architecture string // as images say it
}

func (d *Driver) seen() facts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.facts
}

// Fingerprint implements driver.Driver.
func (d *Driver) Fingerprint(ctx context.Context) (*driver.Fingerprint, error) {
	s, err := d.current()
	if err != nil {
		return &driver.Fingerprint{Health: driver.Undetected, Description: err.Error()}, nil
	}
	d.mu.Lock()
	d.asked = time.Now()
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	found, err := s.engine.Info(ctx, client.InfoOptions{})
	if err != nil {
		health := driver.Undetected
		if d.seen().seen {
			health = driver.Unhealthy
		}
		return &driver.Fingerprint{Health: health, Description: "Failed to connect to docker daemon: " + err.Error()}, nil
	}
	d.mu.Lock()
	d.facts = factsOf(found.Info)
	d.mu.Unlock()
	bridge := ""
	if n, err := s.engine.NetworkInspect(ctx, "bridge", client.NetworkInspectOptions{}); err == nil {
		for _, c := range n.Network.IPAM.Config {
			if c.Gateway.IsValid() && bridge == "" {
				bridge = c.Gateway.String()
			}
		}
	}
	return fingerprint(found.Info, s.config, bridge, cpusetUnmanaged(), runtime.GOOS), nil
}

func factsOf(i system.Info) facts {
	return facts{
		seen: true, windows: i.OSType == "windows", cgroupV1: i.CgroupVersion != "2", cores: i.NCPU, liveRestore: i.LiveRestoreEnabled,
		architecture: imageArchitecture(i.Architecture),
	}
}

// imageArchitecture turns the kernel's name of a processor into the one images use; empty if it has none.
func imageArchitecture(machine string) string {
	switch strings.ToLower(machine) {
	case "x86_64", "amd64":
		return "amd64"
	case "aarch64", "arm64":
		return "arm64"
	case "s390x", "ppc64le", "riscv64":
		return strings.ToLower(machine)
	}
	return ""
}

// fingerprint says what the node offers. hostOS is that of this program.
func fingerprint(i system.Info, p config.Plugin, bridge string, cpusetUnmanaged bool, hostOS string) *driver.Fingerprint {
	if hostOS == "windows" && i.OSType != "windows" {
		return &driver.Fingerprint{Health: driver.Unhealthy, Description: "Docker is configured with Linux containers; switch to Windows Containers"}
	}
	const prefix = "driver.docker"
	a := map[string]attribute.Value{
		prefix:               attribute.Truth(true),
		prefix + ".version":  attribute.Text(i.ServerVersion),
		prefix + ".os_type":  attribute.Text(i.OSType),
		prefix + ".runtimes": attribute.Text(strings.Join(slices.Sorted(maps.Keys(i.Runtimes)), ",")),
	}
	if p.AllowPrivileged {
		a[prefix+".privileged.enabled"] = attribute.Truth(true)
	}
	if p.PidsLimit > 0 {
		a[prefix+".pids.limit"] = attribute.Int(int64(p.PidsLimit), "")
	}
	if p.Volumes.Enabled {
		a[prefix+".volumes.enabled"] = attribute.Truth(true)
	}
	if bridge != "" {
		a[prefix+".bridge_ip"] = attribute.Text(bridge)
	}
	if cpusetUnmanaged {
		a[prefix+".cpuset_management.disabled"] = attribute.Truth(true)
	}
	return &driver.Fingerprint{Health: driver.Healthy, Attributes: a}
}

// node is what the rules for containers need to know.
func (d *Driver) node(s *session) spec.Node {
	f := d.seen()
	n := spec.Node{Windows: f.windows, CgroupV1: f.cgroupV1, Cores: f.cores, API: s.engine.ClientVersion()}
	if t := s.node.Topology; t != nil {
		n.TotalMHz = t.TotalCompute()
		if len(t.Cores) > 0 {
			n.Cores = len(t.Cores)
		}
	}
	if n.Cores == 0 {
		n.Cores = runtime.NumCPU()
	}
	return n
}

// watchEngine keeps one quiet connection to the engine and has the host told when it breaks, and when the engine is back.
func (d *Driver) watchEngine() {
	for d.background.Err() == nil {
		s, err := d.current()
		if err != nil {
			return
		}
		d.listen(s)
		d.wake()
		for d.background.Err() == nil {
			ctx, cancel := context.WithTimeout(d.background, lookTimeout)
			_, err := s.engine.Ping(ctx, client.PingOptions{})
			cancel()
			if err == nil {
				d.wake()
				break
			}
			select {
			case <-time.After(d.times.reconnect):
			case <-d.background.Done():
			}
		}
	}
}

// listen returns when the engine's event stream ends. It asks for the engine's own events, of which there are hardly any.
func (d *Driver) listen(s *session) {
	ctx, cancel := context.WithCancel(d.background)
	defer cancel()
	stream := s.engine.Events(ctx, client.EventsListOptions{Filters: client.Filters{}.Add("type", string(events.DaemonEventType))})
	for {
		select {
		case <-stream.Messages:
			d.wake()
		case <-stream.Err:
			return
		}
	}
}
