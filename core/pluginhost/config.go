package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/core/pluginhost/trust"
	"github.com/droverhq/drover/core/tasklog"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

// The classes of errors, for errors.Is.
var (
	// ErrUnknownDriver: no plugin of that name has been found.
	ErrUnknownDriver = errors.New("unknown driver")
	// ErrUnavailable: the plugin is known but cannot be used now; the text says why.
	ErrUnavailable = errors.New("driver is not available")
	// ErrBlock: what the operator wrote about plugins cannot be used; the text says what to change.
	ErrBlock = errors.New("plugin block cannot be used")
	// ErrUnknownPlugin: no file and no plugin of that name is known.
	ErrUnknownPlugin = errors.New("unknown plugin")
	// ErrStopped: the host has been stopped.
	ErrStopped = errors.New("plugin host is stopped")
	// ErrPluginDown: the process is gone. The call may have been carried out.
	ErrPluginDown = host.ErrPluginDown
	// ErrTaskNotFound: the plugin does not know the task.
	ErrTaskNotFound = host.ErrTaskNotFound
)

// Config is what a Host needs.
type Config struct {
	PluginDir string // empty = <DataDir>/plugins; it need not exist
	DataDir   string // plugin-store, plugin-logs and client/plugins.json are below it
	RunDir    string // short private directory for sockets and FIFOs, at most 60 bytes
	Blocks    []Block
	Trust     Trust

	// Node is what plugins are told about the machine. Without a topology a plain one is made up, because plugins
	// dereference it unchecked.
	Node              plugin.NodeConfig
	NodeID, ClusterID string            // for what plugins mark as theirs; may be empty
	DevMode           bool              // a hint for plugins on our SDK
	Version           string            // the agent's
	Networks          map[string]string // settings for network plugins, under the names of the client block
	Options           map[string]string // driver.allowlist, driver.denylist
	Environ           []string          // nil = this process'; secrets are taken out before plugins see it

	Records   RecordStore // nil = a file <DataDir>/client/plugins.json
	TLS       bool        // ask plugins for TLS; always on where they listen on TCP
	Collector Collector   // nil: plugins' stderr goes straight to a file that is not rotated
	LogSocket string      // the collector's, for plugins that append to tasks' logs; empty: they write into FIFOs
	Limits    Limits
	Logger    hclog.Logger
}

// Block is an operator's plugin block.
type Block struct {
	Name   string // of the file without .exe, or as the plugin reports itself
	Args   []string
	Config map[string]any
	// EnvAllow, if not nil, is the complete list of variables that the plugin inherits, besides PATH and the like.
	EnvAllow []string
	// User is the user of its own that the plugin runs as; empty = the agent's.
	User string
	// Require is what this plugin's binary must bring; empty = what Config.Trust says.
	Require trust.Level
	// SHA256 are the digests in hex of the binaries that may run under this block; empty = any.
	SHA256 []string
	// Upgrade is what a changed file does; empty = hand-over where both versions offer it, otherwise drain.
	Upgrade lifecycle.Policy
}

// Collector reads what plugins print while the agent is away. *tasklog.Client is one.
type Collector interface {
	OpenStream(ctx context.Context, s tasklog.Stream) error
	CloseStream(ctx context.Context, id string) error
}

// Limits are the host's times. Zero means the default.
type Limits struct {
	Lifecycle lifecycle.Limits
	HandOver  lifecycle.HandOverLimits
	Start     time.Duration // launch to handshake; default 60 s
	Call      time.Duration // each call of the setup; default 15 s
	Shutdown  time.Duration // Driver.Shutdown, and again until the process has ended; default 2 s
	Scan      time.Duration // how often plugin_dir is looked at; default 1 s
	Ping      time.Duration // how often a plugin is asked whether it is there, and how long it may take; default 10 s
	Reopen    time.Duration // first wait before a broken stream is opened again, doubled up to 2 min; default 1 s
	Launches  int           // how many at a time; default 4
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	l.Lifecycle = l.Lifecycle.WithDefaults()
	set(&l.Start, 60*time.Second)
	set(&l.Call, 15*time.Second)
	set(&l.Shutdown, 2*time.Second)
	set(&l.Scan, time.Second)
	set(&l.Ping, 10*time.Second)
	set(&l.Reopen, time.Second)
	if l.Launches == 0 {
		l.Launches = 4
	}
	return l
}

const maxRunDir = 60 // a socket's path has 107 bytes at most; the rest is for what lies below

func (c *Config) complete() error {
	if c.DataDir == "" || !filepath.IsAbs(c.DataDir) {
		return fmt.Errorf("plugin host: data_dir %q is not an absolute path", c.DataDir)
	}
	if c.RunDir == "" || !filepath.IsAbs(c.RunDir) || len(c.RunDir) > maxRunDir {
		return fmt.Errorf("plugin host: run directory %q must be an absolute path of at most %d bytes, because the paths of sockets are short",
			c.RunDir, maxRunDir)
	}
	if c.PluginDir == "" {
		c.PluginDir = filepath.Join(c.DataDir, "plugins")
	}
	if c.Environ == nil {
		c.Environ = os.Environ()
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.Records == nil {
		c.Records = FileRecords(filepath.Join(c.DataDir, "client", "plugins.json"))
	}
	if c.Node.Topology == nil {
		c.Node.Topology = plainTopology()
	}
	if c.Node.MinPort == 0 && c.Node.MaxPort == 0 {
		c.Node.MinPort, c.Node.MaxPort = 14000, 14512
	}
	c.Limits = c.Limits.withDefaults()
	return nil
}

// plainTopology is one socket with the right number of equal cores: enough for plugins to do sums with.
func plainTopology() *plugin.Topology {
	const guess = 1000 // MHz
	t := &plugin.Topology{NodeIDs: []uint32{0}}
	for i := range runtime.NumCPU() {
		t.Cores = append(t.Cores, plugin.Core{CoreID: uint32(i), GuessSpeed: guess})
	}
	return t
}
