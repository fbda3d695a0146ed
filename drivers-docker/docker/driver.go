// Package docker is the docker task driver: it runs tasks as containers of a Docker engine. What a container looks like
// is decided in package spec, what it runs in package image, and where its output goes in package logs; here is who does
// what when.
package docker

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/drivers-docker/config"
	"github.com/droverhq/drover/drivers-docker/image"
	"github.com/droverhq/drover/drivers-docker/logs"
	"github.com/droverhq/drover/drivers-docker/spec"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/schema"
)

// Variables by which a host tells its plugins what the driver contract has no field for. All are optional.
const (
	// LogSocketVariable is the socket of the host's log collector.
	LogSocketVariable = "DROVER_LOG_SOCKET"
	// NodeVariable and ClusterVariable say whose containers are ours; without them the node is learned from tasks.
	NodeVariable    = "DROVER_NODE_ID"
	ClusterVariable = "DROVER_CLUSTER_ID"
)

// Interface guards.
var (
	_ driver.Driver[config.Task, State]   = (*Driver)(nil)
	_ driver.WithConfig                   = (*Driver)(nil)
	_ driver.WithConfigCheck[config.Task] = (*Driver)(nil)
	_ driver.WithSignals                  = (*Driver)(nil)
	_ driver.WithExec                     = (*Driver)(nil)
	_ driver.WithStats                    = (*Driver)(nil)
	_ driver.WithInspect                  = (*Driver)(nil)
	_ driver.WithNetwork                  = (*Driver)(nil)
	_ driver.WithHandOver                 = (*Driver)(nil)
	_ driver.WithShutdown                 = (*Driver)(nil)
	_ driver.WithCapabilities             = (*Driver)(nil)
	_ driver.WithFingerprintTrigger       = (*Driver)(nil)
)

// State is all a new plugin process needs to find a task's container again.
type State struct {
	ContainerID string
	Network     *driver.NetworkOverride
}

// Driver runs tasks as containers.
type Driver struct {
	logger  hclog.Logger
	trigger chan struct{}
	times   times

	background context.Context // ends with Close
	end        context.CancelFunc
	workers    sync.WaitGroup

	collector *logs.Collector // nil: output goes into FIFOs
	unseen    sync.Once       // the warning that the engine does not see our mounts
	pauseMu   sync.Mutex      // one pause image is loaded at a time

	mu       sync.Mutex
	owner    spec.Owner
	session  *session // nil until configured
	tasks    map[string]*task
	starting map[string]*starting // by id of tasks whose container is being made
	beside   map[string]bool      // directories that hold those of allocations: private directories are there
	networks map[string]string    // allocation -> pause container
	facts    facts
	asked    time.Time // last fingerprint: a host is there
	released bool      // a newer version of the plugin looks after the tasks, and cleans up

	imagesMu sync.Mutex
	refs     *image.Refs
}

// session is what one configuration makes.
type session struct {
	config  config.Plugin
	node    *plugin.NodeConfig
	engine  engine
	socket  string // where the engine listens
	puller  *image.Puller
	keyring *image.Keyring
}

// times are the driver's patience; tests shorten it.
type times struct {
	leastStall  time.Duration // pull_activity_timeout is at least this
	drain       time.Duration // for the last output of an ended container
	reconnect   time.Duration // between looks for an engine that is away
	engineBack  time.Duration // how long a start waits for an engine that went away
	pauseGrace  time.Duration // least age of a namespace that may be removed as a leftover
	collectOver time.Duration // how long the host may be silent before leftovers are left alone
	createGrace time.Duration // how long the engine's answer is awaited after a start was given up
	cores       time.Duration // between looks at the cores that tasks share
}

func defaultTimes() times {
	return times{drain: 15 * time.Second, reconnect: time.Second, engineBack: 30 * time.Second, pauseGrace: time.Hour, createGrace: 30 * time.Second, collectOver: 2 * time.Minute, cores: 2 * time.Second}
}

// New returns a driver that is not configured yet.
func New(logger hclog.Logger) *Driver {
	d := &Driver{
		logger: logger, trigger: make(chan struct{}, 1), times: defaultTimes(),
		tasks: map[string]*task{}, starting: map[string]*starting{}, beside: map[string]bool{}, networks: map[string]string{},
		owner: spec.Owner{Node: os.Getenv(NodeVariable), Cluster: os.Getenv(ClusterVariable)},
	}
	if path := os.Getenv(LogSocketVariable); path != "" {
		d.collector = logs.NewCollector(path)
	}
	d.background, d.end = context.WithCancel(context.Background())
	return d
}

// Plugin makes the plugin to be served.
func Plugin(d *Driver, version string) plugin.Plugin {
	return driver.New(driver.Info{
		Name:         "docker",
		Version:      version,
		FSIsolation:  driver.FSImage,
		NetworkModes: []driver.NetworkMode{driver.NetworkHost, driver.NetworkGroup, driver.NetworkTask},
	}, d)
}

// Config implements driver.WithConfig.
func (d *Driver) Config() driver.ConfigHandler { return driver.Configure(d.configure) }

func (d *Driver) configure(_ context.Context, c *driver.Configuration[config.Plugin]) error {
	p := c.Config.WithDefaults()
	checked := p
	if d.times.leastStall > 0 {
		checked.PullActivityTimeout = max(p.PullActivityTimeout, time.Minute)
		checked.GC.DanglingContainers.CreationGrace = max(p.GC.DanglingContainers.CreationGrace, time.Minute)
	}
	if err := checked.Check(); err != nil {
		return err
	}
	e, err := connect(p)
	if err != nil {
		return err
	}
	if c.Node == nil {
		return e.Close()
	}
	s := &session{config: p, node: c.Node, engine: e, socket: e.DaemonHost(), keyring: image.NewKeyring(p.Auth)}
	s.puller = image.NewPuller(registryOf{e}, p.PullActivityTimeout, func(m string, args ...any) { d.logger.Info(m, args...) })
	d.mu.Lock()
	first := d.session == nil
	d.session = s
	d.mu.Unlock()
	d.imagesMu.Lock()
	if d.refs == nil {
		d.refs = image.NewRefs(p.GC.ImageDelay)
	}
	d.imagesMu.Unlock()
	if first {
		d.workers.Go(d.watchEngine)
		d.workers.Go(d.collectLeftovers)
		if !cpusetUnmanaged() {
			d.workers.Go(d.keepCores)
		}
	}
	d.wake()
	return nil
}

// current is the configuration in force. Before the first one it is the default one, which only tests meet.
func (d *Driver) current() (*session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session == nil {
		return nil, errNotConfigured
	}
	return d.session, nil
}

// CheckConfig implements driver.WithConfigCheck.
func (d *Driver) CheckConfig(_ context.Context, c config.Task) schema.Diagnostics {
	found := c.Check()
	if c.Image != "" {
		if _, err := image.Parse(c.Image); err != nil {
			found = append(found, schema.Diagnostic{Severity: schema.Error, Summary: "Invalid image name", Detail: err.Error(), Path: "image"})
		}
	}
	return found
}

// Capabilities implements driver.WithCapabilities.
func (d *Driver) Capabilities(derived driver.Capabilities) driver.Capabilities {
	if s, err := d.current(); err == nil {
		derived.DisableLogCollection = s.config.DisableLogCollection
	}
	return platformCapabilities(derived)
}

// FingerprintTrigger implements driver.WithFingerprintTrigger.
func (d *Driver) FingerprintTrigger() <-chan struct{} { return d.trigger }

// wake asks for a fingerprint soon.
func (d *Driver) wake() {
	select {
	case d.trigger <- struct{}{}:
	default:
	}
}

// Shutdown implements driver.WithShutdown: containers run on, output stays where the engine keeps it.
func (d *Driver) Shutdown(context.Context) error {
	d.Close()
	return nil
}

// Close stops following and watching. Tasks run on.
func (d *Driver) Close() {
	d.end()
	for _, t := range d.all() {
		t.close()
	}
	d.workers.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session != nil {
		_ = d.session.engine.Close()
	}
}

func (d *Driver) task(id string) (*task, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.tasks[id]; t != nil {
		return t, nil
	}
	return nil, driver.ErrTaskNotFound
}

func (d *Driver) add(t *task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tasks[t.config.ID] = t
	if id := pauseOf(t.config); id != "" {
		d.networks[t.config.AllocID] = id
	}
}

// learn takes the node's id from a task, for hosts that do not say it otherwise.
func (d *Driver) learn(task *driver.TaskConfig) spec.Owner {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owner.Node == "" {
		d.owner.Node = task.NodeID
	}
	d.beside[filepath.Dir(task.AllocDir)] = true
	return d.owner
}
