package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/allocrunner"
	"github.com/droverhq/drover/core/node/cgroup"
	"github.com/droverhq/drover/core/node/fingerprint"
	"github.com/droverhq/drover/core/node/network"
	"github.com/droverhq/drover/core/node/statedb"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/core/node/taskfiles"
	"github.com/droverhq/drover/core/node/taskrunner"
	"github.com/droverhq/drover/core/node/template"
	"github.com/droverhq/drover/core/rpc"
)

// settleWait bounds how long a starting node waits for slow plugins before it shows itself to the servers. A plugin that
// comes later is registered when it comes.
const settleWait = 3 * time.Second

// removals is how many allocation directories are removed at a time.
const removals = 4

// Node is one machine of the fleet.
type Node struct {
	cfg      Config
	logger   hclog.Logger
	who      Identity
	mine     bool // alloc_dir is this node's alone
	store    *statedb.Store
	found    *fingerprint.Result
	groups   *cgroup.Manager
	shared   *allocrunner.Node
	served   *grpc.Server // answers the servers' calls
	send     *updates
	networks *network.Manager
	files    *taskfiles.Helper
	services *watches
	self     *self
	place    *servers

	gcWake  chan struct{}
	arrived chan struct{} // an allocation has been started

	contactOnce sync.Once
	contact     chan struct{} // closed once the servers have told what should run here

	mu      sync.Mutex
	allocs  map[string]*allocrunner.Runner
	orphans map[string]map[string]*statedb.Task // salvaged from damaged client state
	closed  bool                                // no new allocations

	runners   sync.WaitGroup // allocation runners
	runCtx    context.Context
	stopRun   context.CancelFunc // ends Run
	taskCtx   context.Context
	leave     context.CancelFunc // ends the runners, leaving tasks alone
	finished  chan struct{}      // closed when Run has returned
	runCalled bool
}

// New prepares a node: it reads its identity and client state and looks at the machine. It starts nothing.
func New(cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, logger: cfg.Logger.Named("node"), contact: make(chan struct{}), gcWake: make(chan struct{}, 1), arrived: make(chan struct{}, 1), finished: make(chan struct{}),
		allocs: map[string]*allocrunner.Runner{}, orphans: map[string]map[string]*statedb.Task{},
		place: newServers(cfg.Servers),
	}
	stateDir := cfg.StateDir
	if cfg.Dev {
		stateDir = ""
	}
	if n.who = cfg.Identity; n.who == (Identity{}) {
		if n.who, err = LoadIdentity(stateDir); err != nil {
			return nil, err
		}
	}
	if n.mine, err = claimAllocDir(cfg.AllocDir, n.who.id); err != nil {
		return nil, err
	}
	if err := n.openStore(stateDir); err != nil {
		return nil, err
	}
	fp := cfg.fingerprintConfig()
	if n.found, err = fingerprint.Run(fp); err != nil {
		n.logger.Warn("fingerprint incomplete", "error", err)
	}
	n.groups = cgroup.New(cfg.CgroupParent)
	n.self = newSelf(n)
	n.send = newUpdates(n)
	n.runCtx, n.stopRun = context.WithCancel(context.Background())
	n.taskCtx, n.leave = context.WithCancel(context.Background())
	n.networks = network.New(network.Config{
		Plugins: n.cfg.Plugins, Drivers: n.cfg.Plugins, Store: n.store, Wildcard: !n.cfg.PortsOnOneAddress, Now: time.Now,
		Event: n.send.event, Logger: n.logger.Named("network"),
	})
	n.files, n.services = taskfiles.New(cfg.TaskFiles), newWatches(n)
	n.shared = n.sharedByRunners()
	registry := rpc.NewRegistry()
	n.serve(registry)
	n.served = registry.Server()
	return n, nil
}

func (n *Node) openStore(dir string) error {
	if dir == "" {
		n.store = statedb.Memory()
		return nil
	}
	store, notes, err := statedb.Open(dir)
	if err != nil {
		return err
	}
	n.store = store
	for _, note := range notes {
		n.logger.Error("client state", "error", note)
	}
	return nil
}

func (c Config) fingerprintConfig() fingerprint.Config {
	advertise := c.AdvertiseAddr
	if advertise == "" {
		advertise, _, _ = strings.Cut(c.HTTPAddr, ":")
	}
	return fingerprint.Config{
		Version: c.Version, AllocDir: c.AllocDir, Dev: c.Dev, NetworkInterface: c.NetworkInterface, NetworkSpeed: c.NetworkSpeed,
		AdvertiseAddr: advertise, HostNetworks: c.HostNetworks, Reserved: c.Reserved, Options: c.Options,
		Overrides: fingerprint.Overrides{
			CPUTotalCompute: c.CPUTotalCompute, MemoryTotalMB: c.MemoryTotalMB, DiskTotalMB: c.DiskTotalMB, ReservableCores: c.ReservableCores,
		},
	}
}

func (n *Node) sharedByRunners() *allocrunner.Node {
	names := func(option, def string) map[string]bool {
		text, ok := n.cfg.Options[option]
		if !ok && def == "" {
			return nil
		}
		if !ok {
			text = def
		}
		out := map[string]bool{}
		for _, f := range strings.Split(text, ",") {
			if f = strings.TrimSpace(f); f != "" {
				out[f] = true
			}
		}
		return out
	}
	return &allocrunner.Node{
		Node: &taskrunner.Node{
			Info: n.self.shown, Region: n.cfg.Region, Drivers: n.cfg.Plugins, Devices: n.cfg.Plugins, Logs: n.cfg.Logs, Store: n.store, Cgroups: n.groups,
			Renderer: n.files, Fetcher: n.files, Catalog: n.services, FetchLimits: taskfiles.DefaultLimits(), DeniedFunctions: template.DeniedByDefault(),
			HostEnv:      taskenv.HostEnv(os.Environ(), n.cfg.Options["env.denylist"]),
			CgroupParent: n.cfg.CgroupParent, MaxKillTimeout: n.cfg.MaxKillTimeout,
			UsableCompute:  n.found.Resources.Cpu.CpuShares - n.cfg.Reserved.CPU,
			Restoring:      new(sync.WaitGroup),
			Contact:        n.contact,
			CheckedDrivers: names("user.checked_drivers", ""), DeniedUsers: names("user.denylist", "root,Administrator"),
			Now: time.Now, Jitter: rand.Float64, Logger: n.logger,
		},
		AllocDir: n.cfg.AllocDir,
		Removing: make(chan struct{}, removals),
		Catalog:  n.send,
		Networks: n.networks,
		Over:     n.overOf,
		Report:   n.report,
	}
}

// ID is the node's.
func (n *Node) ID() string { return n.who.id }

// Info is the node as registered, without its secret.
func (n *Node) Info() *model.Node {
	c := *n.self.shown()
	return &c
}

// SetServers replaces the list of servers; a connection that works is kept.
func (n *Node) SetServers(addrs []string) { n.place.set(addrs) }

// Run runs the node until ctx ends or Shutdown is called. Tasks keep running.
func (n *Node) Run(ctx context.Context) error {
	n.mu.Lock()
	if n.runCalled {
		n.mu.Unlock()
		return fmt.Errorf("node: Run may be called once")
	}
	n.runCalled = true
	n.mu.Unlock()
	defer close(n.finished)
	stop := context.AfterFunc(ctx, n.stopRun)
	defer stop()

	n.restore()
	n.spawn(func() {
		n.shared.Restoring.Wait()
		n.cfg.Plugins.Recovered()
	})
	var parts sync.WaitGroup
	for _, part := range []func(context.Context){n.send.run, n.self.watch, n.connect, n.collect, n.watchContact, n.networks.Run} {
		parts.Go(func() { part(n.runCtx) })
	}
	parts.Wait()
	return nil
}

// Shutdown ends the node. With stopTasks it first ends every task and removes all that was made for them; without, tasks
// run on and are found again by the next node on the same state directory. Call it before plugins and log collector are
// closed. It returns when all of the node's goroutines have ended.
func (n *Node) Shutdown(ctx context.Context, stopTasks bool) error {
	var err error
	n.mu.Lock()
	again := n.closed
	n.closed = true
	n.mu.Unlock()
	if again {
		return nil
	}
	if stopTasks {
		err = n.removeAll(ctx)
	}
	n.leave()
	n.runners.Wait()
	n.files.Close()
	n.stopRun()
	n.mu.Lock()
	ran := n.runCalled
	n.mu.Unlock()
	if ran {
		<-n.finished
	}
	n.served.Stop()
	if stopTasks {
		n.groups.Close()
	}
	if cerr := n.store.Close(); err == nil {
		err = cerr
	}
	return err
}

// removeAll ends and removes every allocation, in parallel.
func (n *Node) removeAll(ctx context.Context) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	for _, r := range n.runnersNow() {
		wg.Go(func() {
			if err := n.remove(ctx, r); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			}
		})
	}
	wg.Wait()
	return first
}

// Stats are the node's figures for the agent's own page.
func (n *Node) Stats() map[string]map[string]string {
	n.mu.Lock()
	allocs := len(n.allocs)
	n.mu.Unlock()
	known, last, ttl := n.place.figures()
	return map[string]map[string]string{"client": {
		"node_id":         n.who.id,
		"known_servers":   strings.Join(known, ","),
		"num_allocations": fmt.Sprint(allocs),
		"last_heartbeat":  last,
		"heartbeat_ttl":   ttl.String(),
	}}
}
