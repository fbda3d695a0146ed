// Package node is what runs on a machine: it says what the machine offers, receives what the servers want to run here,
// runs it through driver plugins and says how that goes.
//
// A Node dials the servers and serves their calls on the same connection. Everything it must still know after a restart
// of the agent is in client state (package statedb); tasks outlive it.
package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/cgroup"
	"github.com/droverhq/drover/core/node/fingerprint"
	"github.com/droverhq/drover/core/node/network"
	"github.com/droverhq/drover/core/node/taskfiles"
	"github.com/droverhq/drover/core/node/taskrunner"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/sdk/device"
)

// Config is what a node has to be told.
type Config struct {
	Name, Datacenter, Region, Class, Pool string
	Meta                                  map[string]string
	Version                               string // Drover's own

	Identity Identity // the zero value is read from StateDir
	// IntroToken introduces this node to servers that do not know it; "" is what the file intro_token.jwt in StateDir holds.
	IntroToken string

	Dev          bool   // nothing is kept, loopback is the node's network
	StateDir     string // client state; not used with Dev
	AllocDir     string // allocations' directories, absolute
	RunDir       string // short private directory for sockets and named pipes
	PluginLogDir string

	Servers       []string      // RPC addresses, host:port
	Security      *rpc.Security // of connections to them; nil: plain text
	HTTPS         bool          // the agent's API is served with TLS
	HTTPAddr      string        // where other machines reach the agent's API
	AdvertiseAddr string        // the node's own address as shown; "" = host part of HTTPAddr

	NetworkInterface string
	NetworkSpeed     int // Mbit/s

	CPUTotalCompute int64 // MHz; these three replace what is measured, 0 = measured
	MemoryTotalMB   int64
	DiskTotalMB     int64
	ReservableCores []uint16
	Reserved        Reserved

	MinDynamicPort, MaxDynamicPort int
	HostVolumes                    map[string]*model.HostVolumeInfo
	HostNetworks                   map[string]*model.HostNetwork
	// PortsOnOneAddress: mapped ports of the default host network are opened on its address only, not on every one.
	PortsOnOneAddress bool

	MaxKillTimeout    time.Duration
	CgroupParent      string
	MaxAllocs         int
	GC                GC
	Options           map[string]string
	DisableRemoteExec bool

	// TaskFiles is the program that renders templates and fetches artifacts; "" = beside the program that runs.
	TaskFiles string

	Plugins PluginHost
	Logs    taskrunner.Logs // *tasklog.Client; nil: output is not collected
	Logger  hclog.Logger
}

// Reserved is kept for the machine itself.
type Reserved = fingerprint.Reserved

// GC says when what ended allocations left is deleted.
type GC struct {
	Interval          time.Duration
	DiskUsagePercent  float64
	InodeUsagePercent float64
	MaxAllocs         int // ended allocations kept at most
	ParallelDestroys  int
}

// PluginHost is the node's view of package pluginhost.
type PluginHost interface {
	taskrunner.Drivers
	network.Plugins
	taskrunner.Devices
	// DeviceStats are the latest samples of all device plugins.
	DeviceStats() []device.GroupStats
	// Settled returns when every plugin found at the start is usable or has failed.
	Settled(ctx context.Context) error
	// Plugins is how plugins are now; changed is closed at the next change.
	Plugins() (p *Plugins, changed <-chan struct{})
	// Measured is every plugin with what it costs and did.
	Measured() []*model.PluginInfo
	// Events are steps in plugins' lives.
	Events() <-chan *model.NodeEvent
	// Recovered is called once every task of client state has been recovered or given up.
	Recovered()
	// Logs reads what a plugin wrote to its stderr.
	Logs(ctx context.Context, name string, follow bool, fn func(line []byte) error) error
}

// Plugins is what a node says of its plugins.
type Plugins struct {
	Drivers    map[string]*model.DriverInfo
	Devices    []*model.NodeDevice
	Plugins    []*model.PluginInfo
	Networks   []*model.NodeNetworkMode
	Attributes map[string]string
	Schemas    []rpc.DriverSchema
}

// withDefaults fills in what was left out and checks what cannot be.
func (c Config) withDefaults() (Config, error) {
	switch {
	case c.AllocDir == "":
		return c, errors.New("node: AllocDir is required")
	case c.StateDir == "" && !c.Dev:
		return c, errors.New("node: StateDir is required")
	case c.Plugins == nil:
		return c, errors.New("node: a plugin host is required")
	}
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&c.Datacenter, "dc1")
	def(&c.Region, model.DefaultRegion)
	def(&c.Pool, model.NodePoolDefault)
	def(&c.CgroupParent, cgroup.Default)
	def(&c.TaskFiles, taskfiles.Path())
	if c.MinDynamicPort == 0 {
		c.MinDynamicPort = 20000
	}
	if c.MaxDynamicPort == 0 {
		c.MaxDynamicPort = 32000
	}
	if c.MinDynamicPort > c.MaxDynamicPort {
		return c, fmt.Errorf("client.min_dynamic_port %d is above client.max_dynamic_port %d", c.MinDynamicPort, c.MaxDynamicPort)
	}
	if c.MaxKillTimeout == 0 {
		c.MaxKillTimeout = 30 * time.Second
	}
	if c.GC.Interval == 0 {
		c.GC.Interval = time.Minute
	}
	if c.GC.DiskUsagePercent == 0 {
		c.GC.DiskUsagePercent = 80
	}
	if c.GC.InodeUsagePercent == 0 {
		c.GC.InodeUsagePercent = 70
	}
	if c.GC.MaxAllocs == 0 {
		c.GC.MaxAllocs = 50
	}
	if c.GC.ParallelDestroys == 0 {
		c.GC.ParallelDestroys = 2
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	return c, nil
}
