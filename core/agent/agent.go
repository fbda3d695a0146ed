package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/api"
	"github.com/droverhq/drover/core/certs"
	"github.com/droverhq/drover/core/config"
	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/node"
	"github.com/droverhq/drover/core/node/fingerprint"
	"github.com/droverhq/drover/core/pluginhost"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server"
	"github.com/droverhq/drover/core/tasklog"
	sdkplugin "github.com/droverhq/drover/sdk/plugin"
)

// Times that bound a start and a stop.
const (
	settleTimeout = 50 * time.Second // plugins' first answers before the node registers without the rest
	stopTimeout   = 40 * time.Second // tasks of -dev get their kill_timeout (30 s at most) and some time to clean up
)

// Agent is one running process.
type Agent struct {
	config  *config.Config
	reload  func() (*config.Config, error)
	version string
	logger  hclog.InterceptLogger
	logFile io.Closer
	dirs    *dirs
	lock    *consensus.DirLock

	server  *server.Server
	logs    *tasklog.Client
	plugins atomic.Pointer[pluginhost.Host] // these two come while requests are answered
	node    atomic.Pointer[node.Node]
	api     *api.API
	httpLn  net.Listener

	certs    *certs.Source // nil: no TLS at all
	security *rpc.Security // between agents; nil: plain text

	mu      sync.Mutex // guards what Reload changes
	started time.Time
}

// Options are what the command line adds to a configuration.
type Options struct {
	Config  *config.Config
	Reload  func() (*config.Config, error) // reads the configuration again; nil: cannot be reloaded
	Version string
	Output  io.Writer // log lines
}

// New checks the configuration and opens everything that can fail: directories, state, ports. Nothing runs yet.
func New(o Options) (_ *Agent, err error) {
	c := o.Config
	a := &Agent{config: c, reload: o.Reload, version: o.Version}
	if a.logger, a.logFile, err = newLogger(c, o.Output); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	for _, w := range c.Warnings {
		a.logger.Warn("configuration: " + w)
	}
	if c.Name == "" {
		if c.Name, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("host name: %w", err)
		}
	}
	if a.dirs, err = makeDirs(c); err != nil {
		return nil, err
	}
	if a.lock, err = consensus.LockDir(a.dirs.data); err != nil {
		return nil, err
	}
	if err = a.openCertificates(); err != nil {
		return nil, err
	}
	if a.httpLn, err = net.Listen("tcp", c.HTTPAddr()); err != nil {
		return nil, fmt.Errorf("listen for the HTTP API (ports.http): %w", err)
	}
	if c.TLS.HTTP {
		a.httpLn = tls.NewListener(a.httpLn, a.certs.Listening([]string{"http/1.1"}, c.TLS.VerifyHTTPSClient, nil))
	}
	a.warnExposed()
	if c.Server.Enabled {
		if err = a.newServer(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *Agent) newServer() error {
	c := a.config
	rpcLn, err := net.Listen("tcp", c.RPCAddr())
	if err != nil {
		return fmt.Errorf("listen for RPC (ports.rpc): %w", err)
	}
	source, err := c.Server.JobMaxSource()
	if err != nil {
		return err
	}
	sc := server.DefaultConfig()
	sc.Region, sc.Datacenter, sc.Name, sc.Version = c.Region, c.Datacenter, c.Name, a.Version()
	if !c.DevMode {
		sc.DataDir = a.dirs.data
	}
	sc.Listener, sc.Security = rpcLn, a.security
	sc.Logger = a.logger
	sc.NumSchedulers, sc.EnabledSchedulers = c.Server.NumSchedulers, c.Server.EnabledSchedulers
	sc.Limits.JobMaxCount, sc.Limits.JobMaxPriority = c.Server.JobMaxCount, c.Server.JobMaxPriority
	sc.Limits.JobDefaultPriority, sc.Limits.JobTrackedVersions = c.Server.JobDefaultPriority, c.Server.JobTrackedVersions
	sc.Limits.JobMaxSourceSize = int(source)
	sc.Heartbeat.MinTTL, sc.Heartbeat.Grace = c.Server.MinHeartbeatTTL, c.Server.HeartbeatGrace
	sc.Heartbeat.MaxPerSecond, sc.Heartbeat.FailoverTTL = c.Server.MaxHeartbeatsPerSecond, c.Server.FailoverHeartbeatTTL
	intro := c.Server.ClientIntroduction
	sc.Introduction = server.Introduction{Enforcement: server.Enforcement(intro.Enforcement), DefaultTTL: intro.DefaultTTL, MaxTTL: intro.MaxTTL}
	sc.EventBufferSize = c.Server.EventBufferSize
	sc.GC.NodeThreshold, sc.GC.JobInterval, sc.GC.JobThreshold = c.Server.NodeGCThreshold, c.Server.JobGCInterval, c.Server.JobGCThreshold
	sc.GC.EvalThreshold, sc.GC.BatchEvalThreshold = c.Server.EvalGCThreshold, c.Server.BatchEvalGCThreshold
	sc.GC.DeploymentThreshold = c.Server.DeploymentGCThreshold
	if sc.Advertise, err = advertised(rpcLn.Addr(), c.Advertise.RPC, c.AdvertiseRPC()); err != nil {
		rpcLn.Close()
		return fmt.Errorf("advertise.rpc: %w", err)
	}
	sc.BootstrapExpect = c.Expect()
	if sc.Gossip, err = gossip(c); err != nil {
		rpcLn.Close()
		return err
	}
	if a.server, err = server.New(sc); err != nil {
		rpcLn.Close()
		return err
	}
	return nil
}

// Run starts everything, serves until ctx ends, and stops everything. ready is called when the agent answers requests.
func (a *Agent) Run(ctx context.Context, ready func()) error {
	defer a.close()
	a.started = time.Now()
	if a.server != nil {
		if err := a.server.Start(); err != nil {
			return fmt.Errorf("start the server: %w", err)
		}
		defer a.stopServer()
		if err := a.firstLeader(ctx); err != nil {
			return err
		}
	}
	a.api = api.New(api.Config{Server: a.server, Agent: a, Logger: a.logger, EnableDebug: a.config.EnableDebug || a.config.DevMode, Security: a.security, Headers: a.config.ResponseHeaders})
	serving, stopServing := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- a.api.Serve(serving, a.httpLn) }()
	defer func() {
		stopServing()
		<-served
	}()
	if a.server != nil {
		forwarded := make(chan struct{})
		go func() {
			defer close(forwarded)
			if err := a.api.ServeForwarded(serving, a.server.HTTP()); err != nil && serving.Err() == nil && !errors.Is(err, net.ErrClosed) {
				a.logger.Error("requests of other agents are no longer answered", "error", err)
			}
		}()
		defer func() {
			stopServing()
			<-forwarded
		}()
	}

	failed := make(chan error, 1)
	if a.config.Client.Enabled {
		if err := a.startNode(ctx); err != nil {
			return err
		}
		nodeDone := make(chan struct{})
		runCtx, stopRun := context.WithCancel(context.Background())
		go func() {
			defer close(nodeDone)
			if err := a.node.Load().Run(runCtx); err != nil && runCtx.Err() == nil {
				failed <- fmt.Errorf("node: %w", err)
			}
		}()
		defer func() {
			a.stopNode()
			stopRun()
			<-nodeDone
		}()
	}
	a.logger.Info("agent is ready", "http", a.httpLn.Addr(), "servers", a.Servers(), "data_dir", a.dirs.data, "plugin_dir", a.dirs.plugins)
	if ready != nil {
		ready()
	}
	select {
	case <-ctx.Done():
		a.logger.Info("stopping")
		a.leave(ctx)
		return nil
	case err := <-failed:
		return err
	case err := <-served:
		served <- nil
		return fmt.Errorf("HTTP API: %w", err)
	}
}

func (a *Agent) startNode(ctx context.Context) error {
	c := a.config
	kept, err := config.Cores(c.Client.Reserved.Cores)
	if err != nil {
		return fmt.Errorf("client.reserved.cores: %w", err)
	}
	reservable, err := config.Cores(c.Client.ReservableCores)
	if err != nil {
		return fmt.Errorf("client.reservable_cores: %w", err)
	}
	reserved := node.Reserved{
		CPU: int64(c.Client.Reserved.CPU), MemoryMB: int64(c.Client.Reserved.MemoryMB), DiskMB: int64(c.Client.Reserved.DiskMB),
		Ports: c.Client.Reserved.ReservedPorts, Cores: kept,
	}
	topology, err := fingerprint.Topology(fingerprint.Overrides{
		CPUTotalCompute: int64(c.Client.CPUTotalCompute), MemoryTotalMB: int64(c.Client.MemoryTotalMB), DiskTotalMB: int64(c.Client.DiskTotalMB),
	}, reserved)
	if err != nil {
		return fmt.Errorf("read the machine's processors: %w", err)
	}
	who, err := node.LoadIdentity(a.stateDir())
	if err != nil {
		return err
	}
	logSocket := filepath.Join(a.dirs.run, "logs.sock")
	a.logs, err = tasklog.Ensure(ctx, tasklog.Config{
		SocketPath: logSocket, StateDir: a.dirs.logs, Logger: a.logger.Named("logs"),
	})
	if err != nil {
		return fmt.Errorf("start the log collector: %w", err)
	}
	plugins, err := a.openPlugins(who, topology, logSocket)
	if err != nil {
		return fmt.Errorf("plugin host: %w", err)
	}
	if err := plugins.Start(ctx); err != nil {
		return fmt.Errorf("plugin host: %w", err)
	}
	settle, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := plugins.Settled(settle); err != nil && ctx.Err() == nil {
		a.logger.Warn("some plugins have not answered yet; the node starts without them", "error", err)
	}
	n, err := node.New(node.Config{
		Name: c.Name, Datacenter: c.Datacenter, Region: c.Region, Class: c.Client.NodeClass, Pool: c.Client.NodePool,
		Meta: c.Client.Meta, Version: a.version, Identity: who, IntroToken: c.Client.IntroToken, Dev: c.DevMode, StateDir: a.dirs.state, AllocDir: a.dirs.alloc,
		RunDir: a.dirs.run, PluginLogDir: filepath.Join(a.dirs.data, "plugin-logs"),
		Servers: a.nodeServers(), Security: a.security, HTTPS: c.TLS.HTTP, HTTPAddr: c.AdvertiseHTTP(), NetworkInterface: c.Client.NetworkInterface,
		CPUTotalCompute: int64(c.Client.CPUTotalCompute), MemoryTotalMB: int64(c.Client.MemoryTotalMB), DiskTotalMB: int64(c.Client.DiskTotalMB),
		Reserved: reserved, ReservableCores: reservable,
		MinDynamicPort: c.Client.MinDynamicPort, MaxDynamicPort: c.Client.MaxDynamicPort,
		HostNetworks: hostNetworks(c), PortsOnOneAddress: !c.Client.BindWildcardDefault, MaxKillTimeout: c.Client.MaxKillTimeout, CgroupParent: c.Client.CgroupParent,
		MaxAllocs: c.Client.NodeMaxAllocs,
		GC: node.GC{
			Interval: c.Client.GCInterval, DiskUsagePercent: c.Client.GCDiskThreshold, InodeUsagePercent: c.Client.GCInodeThreshold,
			MaxAllocs: c.Client.GCMaxAllocs, ParallelDestroys: c.Client.GCParallelDestroys,
		},
		Options: c.Client.Options, DisableRemoteExec: c.Client.DisableRemoteExec,
		Plugins: node.FromPluginHost(plugins), Logs: a.logs, Logger: a.logger,
	})
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	a.node.Store(n)
	return nil
}

// openPlugins makes the plugin host. It starts nothing.
func (a *Agent) openPlugins(who node.Identity, topology *sdkplugin.Topology, logSocket string) (*pluginhost.Host, error) {
	a.mu.Lock() // a reload may come at any time
	defer a.mu.Unlock()
	c := a.config
	asked, err := pluginTrust(c)
	if err != nil {
		return nil, err
	}
	plugins, err := pluginhost.New(pluginhost.Config{
		PluginDir: a.dirs.plugins, DataDir: a.dirs.data, RunDir: a.dirs.run, Blocks: blocks(c), Trust: asked,
		Node: sdkplugin.NodeConfig{
			MinPort: uint32(c.Client.ClientMinPort), MaxPort: uint32(c.Client.ClientMaxPort), Topology: topology,
		},
		// A region is one group of servers, which is what a cluster is to a runtime that several agents use.
		NodeID: who.ID(), ClusterID: c.Region,
		Networks: networkSettings(c, a.dirs.plugins),
		DevMode:  c.DevMode, Options: c.Client.Options, Records: a.records(), Collector: a.logs, LogSocket: logSocket,
		Version: a.version, Logger: a.logger,
	})
	if err == nil {
		a.plugins.Store(plugins)
	}
	return plugins, err
}

// stateDir is where the node keeps who it is; nowhere with -dev.
func (a *Agent) stateDir() string {
	if a.config.DevMode {
		return ""
	}
	return a.dirs.state
}

// stopNode ends the node. Tasks run on, unless the agent is -dev: then they end and nothing is left.
func (a *Agent) stopNode() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := a.node.Load().Shutdown(ctx, a.config.DevMode); err != nil {
		a.logger.Error("stop the node", "error", err)
	}
}

func (a *Agent) stopServer() {
	if err := a.server.Shutdown(); err != nil {
		a.logger.Error("stop the server", "error", err)
	}
}

// close gives back what New and startNode opened, in the opposite order.
func (a *Agent) close() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if plugins := a.plugins.Load(); plugins != nil {
		if err := plugins.Stop(ctx, pluginhost.StopOptions{EndPlugins: a.config.DevMode, EndIdle: true}); err != nil {
			a.logger.Error("stop the plugins", "error", err)
		}
	}
	if a.logs != nil {
		a.logs.Close()
	}
	if a.server != nil {
		a.server.Shutdown()
	}
	if a.httpLn != nil {
		a.httpLn.Close()
	}
	if a.lock != nil {
		a.lock.Unlock()
	}
	if a.dirs != nil {
		if err := a.dirs.remove(); err != nil {
			a.logger.Error("remove the -dev directories", "error", err)
		}
	}
	if a.logFile != nil {
		a.logFile.Close()
	}
}

func (a *Agent) records() pluginhost.RecordStore {
	if a.config.DevMode {
		return pluginhost.NoRecords()
	}
	return nil
}
