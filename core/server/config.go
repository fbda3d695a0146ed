package server

import (
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

// Config is what a server needs. Start from DefaultConfig.
type Config struct {
	Region     string
	Datacenter string
	Name       string
	Version    string

	// DataDir is the agent's data directory; the server's part is DataDir/server. "" keeps everything in memory.
	DataDir string

	// RPCAddr is where servers and nodes connect; Listener is used instead when set. Advertise is the address told to
	// them; "" means the one listened on.
	RPCAddr   string
	Listener  net.Listener
	Advertise string
	// Security protects that port and the connections to other servers; nil: plain text.
	Security *rpc.Security

	Logger hclog.Logger

	NumSchedulers     int      // 0: one for each CPU
	EnabledSchedulers []string // none: all

	// BootstrapExpect is how many servers found the group together. 1 is a server that founds one alone, 0 one that waits
	// until an existing group takes it in.
	BootstrapExpect int
	// Gossip is how servers find each other; nil is a server that stays alone.
	Gossip *Gossip

	Introduction     Introduction
	HasConsul        bool
	Limits           Limits
	Heartbeat        Heartbeat
	GC               GC
	EventBufferSize  int
	DefaultScheduler *model.SchedulerConfig // in force until an operator changes it
}

// Gossip is where and with whom a server gossips.
type Gossip struct {
	Bind      string // host:port, TCP and UDP
	Advertise string // "" is the address bound
	Key       string // encrypts it; "" is plain text
	NonVoter  bool

	// Join are addresses of other servers, asked again every RetryInterval until one answers, at most RetryMax times (0:
	// for ever).
	Join          []string
	RetryInterval time.Duration
	RetryMax      int

	RejoinAfterLeave bool
}

// Limits bound what is accepted.
type Limits struct {
	JobMaxPriority     int
	JobDefaultPriority int
	JobMaxCount        int
	JobMaxSourceSize   int // bytes; a longer source is dropped with a warning
	JobMaxSize         int // bytes of the encoded job; a larger one is refused
	JobTrackedVersions int
}

// Heartbeat is how often nodes report.
type Heartbeat struct {
	MinTTL       time.Duration
	Grace        time.Duration
	MaxPerSecond float64
	FailoverTTL  time.Duration
}

// GC is when what has ended is forgotten.
type GC struct {
	Interval            time.Duration
	JobInterval         time.Duration
	JobThreshold        time.Duration
	EvalThreshold       time.Duration
	BatchEvalThreshold  time.Duration
	DeploymentThreshold time.Duration
	NodeThreshold       time.Duration
}

// DefaultConfig is a server in memory on a loopback port of the system's choice.
func DefaultConfig() Config {
	return Config{
		Region:          model.DefaultRegion,
		Datacenter:      "dc1",
		Name:            "server",
		RPCAddr:         "127.0.0.1:0",
		Logger:          hclog.NewNullLogger(),
		NumSchedulers:   runtime.NumCPU(),
		BootstrapExpect: 1,
		Limits: Limits{
			JobMaxPriority: 100, JobDefaultPriority: 50, JobMaxCount: 50000, JobMaxSourceSize: 1 << 20,
			JobMaxSize: 32 << 20, JobTrackedVersions: 6,
		},
		Heartbeat: Heartbeat{MinTTL: 10 * time.Second, Grace: 10 * time.Second, MaxPerSecond: 50, FailoverTTL: 5 * time.Minute},
		GC: GC{
			Interval: 5 * time.Minute, JobInterval: 5 * time.Minute, JobThreshold: 4 * time.Hour,
			EvalThreshold: time.Hour, BatchEvalThreshold: 24 * time.Hour, DeploymentThreshold: time.Hour, NodeThreshold: 24 * time.Hour,
		},
		Introduction:    Introduction{Enforcement: IntroduceNone, DefaultTTL: 5 * time.Minute, MaxTTL: 30 * time.Minute},
		EventBufferSize: 100,
	}
}

// complete fills in what was left out and refuses what cannot work.
func (c *Config) complete() error {
	d := DefaultConfig()
	if c.Region == "" {
		c.Region = d.Region
	}
	if c.Datacenter == "" {
		c.Datacenter = d.Datacenter
	}
	if c.Name == "" {
		c.Name = d.Name
	}
	if c.Logger == nil {
		c.Logger = d.Logger
	}
	if c.NumSchedulers <= 0 {
		c.NumSchedulers = d.NumSchedulers
	}
	if c.Limits == (Limits{}) {
		c.Limits = d.Limits
	}
	if c.Limits.JobTrackedVersions < 1 {
		return fmt.Errorf("job_tracked_versions is %d: at least one version must be kept", c.Limits.JobTrackedVersions)
	}
	if c.Limits.JobMaxSize == 0 {
		c.Limits.JobMaxSize = d.Limits.JobMaxSize
	}
	if c.Heartbeat == (Heartbeat{}) {
		c.Heartbeat = d.Heartbeat
	}
	if c.Introduction == (Introduction{}) {
		c.Introduction = d.Introduction
	}
	if c.GC == (GC{}) {
		c.GC = d.GC
	}
	if c.BootstrapExpect < 0 {
		return fmt.Errorf("bootstrap_expect is %d: it must not be negative", c.BootstrapExpect)
	}
	if c.BootstrapExpect != 1 && c.Gossip == nil {
		return fmt.Errorf("bootstrap_expect is %d, but this server does not gossip: it would never find the others", c.BootstrapExpect)
	}
	if len(c.EnabledSchedulers) == 0 {
		c.EnabledSchedulers = []string{model.JobTypeService, model.JobTypeBatch, model.JobTypeSystem, model.JobTypeSysBatch}
	}
	return nil
}

// timing: a server that is alone for good need not wait for others.
func (c *Config) timing() consensus.Timing {
	if c.Gossip == nil {
		return consensus.SingleTiming()
	}
	return consensus.GroupTiming()
}
