// Package config is the agent's configuration: what it may say, its defaults, how files and flags merge, and what is
// refused. Files are HCL or JSON; blocks and keys carry the names operators already know. A key that is known but that
// this release does not act on is reported as a warning by name; a key that nobody knows is an error.
package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/core/pluginhost/trust"
)

// Config is a complete configuration. Durations are in their natural unit; sizes are named with theirs.
type Config struct {
	Region     string `cfg:"region"`
	Datacenter string `cfg:"datacenter"`
	Name       string `cfg:"name"` // default: the host's name
	DataDir    string `cfg:"data_dir"`
	PluginDir  string `cfg:"plugin_dir"` // default: DataDir/plugins
	BindAddr   string `cfg:"bind_addr"`
	LogLevel   string `cfg:"log_level"`
	LogJSON    bool   `cfg:"log_json"`
	LogFile    string `cfg:"log_file"`

	LeaveOnInterrupt bool `cfg:"leave_on_interrupt"` // a server leaves its group for good
	LeaveOnTerminate bool `cfg:"leave_on_terminate"`

	EnableDebug     bool              `cfg:"enable_debug"`
	ResponseHeaders map[string]string `cfg:"http_api_response_headers"`

	Ports     Ports     `cfg:"ports"`
	Addresses Addresses `cfg:"addresses"`
	Advertise Addresses `cfg:"advertise"`
	Server    Server    `cfg:"server"`
	Client    Client    `cfg:"client"`
	TLS       TLS       `cfg:"tls"`
	Telemetry Telemetry `cfg:"telemetry"`

	PluginTrust PluginTrust `cfg:"plugin_trust"`
	Plugins     []Plugin    `cfg:"plugin"`

	// Set by flags, not by files.
	DevMode bool `cfg:"-"`
	// Warnings collects what was understood but is not acted on.
	Warnings []string `cfg:"-"`
}

// Ports are TCP ports; serf's is also UDP.
type Ports struct {
	HTTP int `cfg:"http"`
	RPC  int `cfg:"rpc"`
	Serf int `cfg:"serf"`
}

// Addresses are per service; empty means bind_addr (to listen) or the listening address (to advertise).
type Addresses struct {
	HTTP string `cfg:"http"`
	RPC  string `cfg:"rpc"`
	Serf string `cfg:"serf"`
}

// Join is whom to find the servers through.
type Join struct {
	RetryJoin     []string      `cfg:"retry_join"` // host:port; asked until one answers
	StartJoin     []string      `cfg:"start_join"` // the same
	RetryInterval time.Duration `cfg:"retry_interval"`
	RetryMax      int           `cfg:"retry_max"` // 0: for ever
}

// Addrs are all addresses, with the port where none is given.
func (j *Join) Addrs(port int) []string {
	return withPort(slices.Concat(j.RetryJoin, j.StartJoin), port)
}

func withPort(addrs []string, port int) []string {
	out := make([]string, 0, len(addrs))
	for _, a := range addrs {
		if _, _, err := net.SplitHostPort(a); err != nil {
			a = net.JoinHostPort(strings.Trim(a, "[]"), strconv.Itoa(port))
		}
		out = append(out, a)
	}
	return out
}

// Server configures the server part of an agent.
type Server struct {
	Enabled         bool `cfg:"enabled"`
	BootstrapExpect int  `cfg:"bootstrap_expect"` // 0: 1, or with server_join whatever group exists

	Encrypt          string   `cfg:"encrypt"` // gossip key, base64
	ServerJoin       Join     `cfg:"server_join"`
	RetryJoin        []string `cfg:"retry_join"` // older form of server_join
	RejoinAfterLeave bool     `cfg:"rejoin_after_leave"`
	NonVotingServer  bool     `cfg:"non_voting_server"`

	NumSchedulers int `cfg:"num_schedulers"` // default: CPUs

	EnabledSchedulers []string `cfg:"enabled_schedulers"`

	NodeGCThreshold       time.Duration `cfg:"node_gc_threshold"`
	JobGCInterval         time.Duration `cfg:"job_gc_interval"`
	JobGCThreshold        time.Duration `cfg:"job_gc_threshold"`
	EvalGCThreshold       time.Duration `cfg:"eval_gc_threshold"`
	BatchEvalGCThreshold  time.Duration `cfg:"batch_eval_gc_threshold"`
	DeploymentGCThreshold time.Duration `cfg:"deployment_gc_threshold"`

	HeartbeatGrace         time.Duration `cfg:"heartbeat_grace"`
	MinHeartbeatTTL        time.Duration `cfg:"min_heartbeat_ttl"`
	MaxHeartbeatsPerSecond float64       `cfg:"max_heartbeats_per_second"`
	FailoverHeartbeatTTL   time.Duration `cfg:"failover_heartbeat_ttl"`

	JobDefaultPriority int    `cfg:"job_default_priority"`
	JobMaxPriority     int    `cfg:"job_max_priority"`
	JobMaxCount        int    `cfg:"job_max_count"`
	JobMaxSourceSize   string `cfg:"job_max_source_size"` // "1M"
	JobTrackedVersions int    `cfg:"job_tracked_versions"`

	EventBufferSize int `cfg:"event_buffer_size"`

	ClientIntroduction ClientIntroduction `cfg:"client_introduction"`
}

// ClientIntroduction is how machines that the servers do not know become nodes.
type ClientIntroduction struct {
	Enforcement string        `cfg:"enforcement"`          // none, warn or strict
	DefaultTTL  time.Duration `cfg:"default_identity_ttl"` // of a token made without one
	MaxTTL      time.Duration `cfg:"max_identity_ttl"`
}

// Client configures the node part of an agent.
type Client struct {
	Enabled   bool              `cfg:"enabled"`
	Servers   []string          `cfg:"servers"`
	Join      Join              `cfg:"server_join"` // the same
	NodeClass string            `cfg:"node_class"`
	NodePool  string            `cfg:"node_pool"`
	Meta      map[string]string `cfg:"meta"`
	StateDir  string            `cfg:"state_dir"` // default: DataDir/client
	AllocDir  string            `cfg:"alloc_dir"` // default: DataDir/alloc
	Options   map[string]string `cfg:"options"`

	NetworkInterface string   `cfg:"network_interface"`
	CPUTotalCompute  int      `cfg:"cpu_total_compute"` // MHz
	MemoryTotalMB    int      `cfg:"memory_total_mb"`
	DiskTotalMB      int      `cfg:"disk_total_mb"`
	Reserved         Reserved `cfg:"reserved"`
	ReservableCores  string   `cfg:"reservable_cores"` // see Cores

	MaxKillTimeout time.Duration `cfg:"max_kill_timeout"`
	MinDynamicPort int           `cfg:"min_dynamic_port"`
	MaxDynamicPort int           `cfg:"max_dynamic_port"`
	ClientMinPort  int           `cfg:"client_min_port"`
	ClientMaxPort  int           `cfg:"client_max_port"`

	GCInterval         time.Duration `cfg:"gc_interval"`
	GCParallelDestroys int           `cfg:"gc_parallel_destroys"`
	GCDiskThreshold    float64       `cfg:"gc_disk_usage_threshold"`
	GCInodeThreshold   float64       `cfg:"gc_inode_usage_threshold"`
	GCMaxAllocs        int           `cfg:"gc_max_allocs"`

	DisableRemoteExec bool          `cfg:"disable_remote_exec"`
	CgroupParent      string        `cfg:"cgroup_parent"`
	NodeMaxAllocs     int           `cfg:"node_max_allocs"`
	HostNetworks      []HostNetwork `cfg:"host_network"`

	CNIPath             string `cfg:"cni_path"`
	CNIConfigDir        string `cfg:"cni_config_dir"`
	BridgeName          string `cfg:"bridge_network_name"`
	BridgeSubnet        string `cfg:"bridge_network_subnet"`
	BridgeSubnetIPv6    string `cfg:"bridge_network_subnet_ipv6"`
	BridgeHairpin       bool   `cfg:"bridge_network_hairpin_mode"`
	BindWildcardDefault bool   `cfg:"bind_wildcard_default_host_network"`

	IntroToken string `cfg:"-"` // by flag or environment: a secret
}

// Reserved is kept for the machine itself.
type Reserved struct {
	CPU           int    `cfg:"cpu"` // MHz
	MemoryMB      int    `cfg:"memory"`
	DiskMB        int    `cfg:"disk"`
	ReservedPorts string `cfg:"reserved_ports"`
	Cores         string `cfg:"cores"` // see Cores
}

// HostNetwork names addresses that ports may be opened on.
type HostNetwork struct {
	Name          string `cfg:"name,label"`
	CIDR          string `cfg:"cidr"`
	Interface     string `cfg:"interface"`
	ReservedPorts string `cfg:"reserved_ports"`
}

// Telemetry configures metrics.
type Telemetry struct {
	PrometheusMetrics bool `cfg:"prometheus_metrics"`
}

// PluginTrust says what every plugin binary must bring.
type PluginTrust struct {
	Require     string            `cfg:"require"`      // none, pin or signature
	TrustedKeys map[string]string `cfg:"trusted_keys"` // by name: a public key, or the absolute path of its file
}

// Plugin is a plugin block: how one plugin binary is trusted, started and configured.
type Plugin struct {
	Name     string         `cfg:"name,label"`
	Args     []string       `cfg:"args"`
	Config   map[string]any `cfg:"config"`
	Require  string         `cfg:"require"` // instead of plugin_trust.require
	SHA256   Texts          `cfg:"sha256"`
	EnvAllow []string       `cfg:"env_allow"` // nil: everything but secrets
	User     string         `cfg:"user"`      // the plugin's own; empty: the agent's
	Upgrade  string         `cfg:"upgrade"`   // hand-over, drain or manual
}

// Texts is a list that may be written as a single text.
type Texts []string

// Default is the configuration before any file or flag: nothing enabled, loopback only.
func Default() *Config {
	return &Config{
		Region:     "global",
		Datacenter: "dc1",
		BindAddr:   "127.0.0.1",
		LogLevel:   "INFO",
		Ports:      Ports{HTTP: 4646, RPC: 4647, Serf: 4648},
		Server: Server{
			ServerJoin:      Join{RetryInterval: 30 * time.Second},
			NodeGCThreshold: 24 * time.Hour, JobGCInterval: 5 * time.Minute, JobGCThreshold: 4 * time.Hour,
			EvalGCThreshold: time.Hour, BatchEvalGCThreshold: 24 * time.Hour, DeploymentGCThreshold: time.Hour,
			HeartbeatGrace: 10 * time.Second, MinHeartbeatTTL: 10 * time.Second, MaxHeartbeatsPerSecond: 50,
			FailoverHeartbeatTTL: 5 * time.Minute,
			JobDefaultPriority:   50, JobMaxPriority: 100, JobMaxCount: 50000, JobMaxSourceSize: "1M", JobTrackedVersions: 6,
			EventBufferSize: 100, ClientIntroduction: ClientIntroduction{Enforcement: "warn", DefaultTTL: 5 * time.Minute, MaxTTL: 30 * time.Minute},
		},
		TLS:         TLS{VerifyServerHostname: true, MinVersion: "tls12"},
		PluginTrust: PluginTrust{Require: string(trust.None)},
		Client: Client{
			NodePool:            "default",
			MaxKillTimeout:      30 * time.Second,
			BindWildcardDefault: true, MinDynamicPort: 20000, MaxDynamicPort: 32000, ClientMinPort: 14000, ClientMaxPort: 14512,
			GCInterval: time.Minute, GCParallelDestroys: 2, GCDiskThreshold: 80, GCInodeThreshold: 70, GCMaxAllocs: 50,
			CgroupParent: "drover.slice",
		},
	}
}

// Dev turns c into the configuration of `agent -dev`: server and node in one process, state in memory, loopback.
func (c *Config) Dev() {
	c.DevMode = true
	c.Server.Enabled, c.Client.Enabled = true, true
	c.Server.BootstrapExpect = 1
	c.Server.ClientIntroduction.Enforcement = "none"
	c.LogLevel = "INFO"
	c.Telemetry.PrometheusMetrics = true
}

// HTTPAddr is where the HTTP API listens.
func (c *Config) HTTPAddr() string { return hostPort(c.Addresses.HTTP, c.BindAddr, c.Ports.HTTP) }

// RPCAddr is where servers listen for nodes and other servers.
func (c *Config) RPCAddr() string { return hostPort(c.Addresses.RPC, c.BindAddr, c.Ports.RPC) }

// SerfAddr is where servers gossip.
func (c *Config) SerfAddr() string { return hostPort(c.Addresses.Serf, c.BindAddr, c.Ports.Serf) }

// AdvertiseSerf is the address other servers reach the gossip at, "" if it is the one listened on.
func (c *Config) AdvertiseSerf() string {
	if c.Advertise.Serf == "" {
		return ""
	}
	return hostPort(c.Advertise.Serf, "", c.Ports.Serf)
}

// ServerAddrs are the servers that a node is told to connect to.
func (c *Config) ServerAddrs() []string {
	return append(withPort(c.Client.Servers, defaultRPC), c.Client.Join.Addrs(defaultRPC)...)
}

// defaultRPC is the port servers listen on unless told otherwise.
const defaultRPC = 4647

// Expect is how many servers found a group with this one.
func (c *Config) Expect() int {
	if c.Server.BootstrapExpect == 0 && len(c.JoinAddrs()) == 0 {
		return 1
	}
	return c.Server.BootstrapExpect
}

// JoinAddrs are the gossip addresses of other servers.
func (c *Config) JoinAddrs() []string {
	return append(c.Server.ServerJoin.Addrs(c.Ports.Serf), withPort(c.Server.RetryJoin, c.Ports.Serf)...)
}

// AdvertiseHTTP is the address others reach the HTTP API at.
func (c *Config) AdvertiseHTTP() string {
	return hostPort(c.Advertise.HTTP, first(c.Addresses.HTTP, c.BindAddr), c.Ports.HTTP)
}

// AdvertiseRPC is the address others reach the RPC port at.
func (c *Config) AdvertiseRPC() string {
	return hostPort(c.Advertise.RPC, first(c.Addresses.RPC, c.BindAddr), c.Ports.RPC)
}

// JobMaxSource is JobMaxSourceSize in bytes.
func (s *Server) JobMaxSource() (int64, error) {
	n, err := parseSize(s.JobMaxSourceSize)
	if err != nil {
		return 0, fmt.Errorf("server.job_max_source_size: %w", err)
	}
	return n, nil
}
