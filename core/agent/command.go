package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/droverhq/drover/core/config"
)

// flags are what the agent command takes; they override files.
type flags struct {
	configs   list
	dev       bool
	server    bool
	client    bool
	bind      string
	dataDir   string
	pluginDir string
	name      string
	region    string
	dc        string
	nodeClass string
	nodePool  string
	servers   list
	meta      list
	logLevel  string
	logJSON   bool
	iface     string
	stateDir  string
	allocDir  string
	bootstrap int
	intro     string
	httpPort  int
	rpcPort   int
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func (f *flags) set(fs *flag.FlagSet) {
	fs.Var(&f.configs, "config", "configuration file or directory (repeatable)")
	fs.BoolVar(&f.dev, "dev", false, "server and node in one, nothing kept, loopback only: for trying things")
	fs.BoolVar(&f.server, "server", false, "be a server")
	fs.BoolVar(&f.client, "client", false, "be a node")
	fs.StringVar(&f.bind, "bind", "", "address to listen on (default 127.0.0.1)")
	fs.StringVar(&f.dataDir, "data-dir", "", "where everything that must survive a restart is kept")
	fs.StringVar(&f.pluginDir, "plugin-dir", "", "where plugin binaries lie (default <data-dir>/plugins; with -dev the plugins beside the drover binary)")
	fs.StringVar(&f.name, "node", "", "name of this agent (default the host's)")
	fs.StringVar(&f.region, "region", "", "region")
	fs.StringVar(&f.dc, "dc", "", "datacenter")
	fs.StringVar(&f.nodeClass, "node-class", "", "class of this node")
	fs.StringVar(&f.nodePool, "node-pool", "", "pool of this node")
	fs.Var(&f.servers, "servers", "server address host:port (repeatable)")
	fs.Var(&f.meta, "meta", "key=value of this node (repeatable)")
	fs.StringVar(&f.logLevel, "log-level", "", "TRACE, DEBUG, INFO, WARN or ERROR")
	fs.BoolVar(&f.logJSON, "log-json", false, "log lines as JSON")
	fs.StringVar(&f.iface, "network-interface", "", "interface whose addresses ports are opened on")
	fs.StringVar(&f.stateDir, "state-dir", "", "the node's state (default <data-dir>/client)")
	fs.StringVar(&f.allocDir, "alloc-dir", "", "allocations' directories (default <data-dir>/alloc)")
	fs.StringVar(&f.intro, "client-intro-token", "", "what this node joins with when the servers do not know it (DROVER_CLIENT_INTRO_TOKEN; see drover node intro create)")
	fs.IntVar(&f.bootstrap, "bootstrap-expect", 0, "servers to wait for")
}

// load reads the files and lays the flags over them.
func (f *flags) load() (*config.Config, error) {
	base := config.Default()
	if f.dev {
		base.Dev()
	}
	c, err := config.Load(base, f.configs...)
	if err != nil {
		return nil, err
	}
	for _, o := range []struct {
		to *string
		v  string
	}{
		{&c.BindAddr, f.bind}, {&c.DataDir, f.dataDir}, {&c.PluginDir, f.pluginDir}, {&c.Name, f.name}, {&c.Region, f.region},
		{&c.Datacenter, f.dc}, {&c.Client.NodeClass, f.nodeClass}, {&c.Client.NodePool, f.nodePool}, {&c.LogLevel, f.logLevel},
		{&c.Client.NetworkInterface, f.iface}, {&c.Client.StateDir, f.stateDir}, {&c.Client.AllocDir, f.allocDir},
	} {
		if o.v != "" {
			*o.to = o.v
		}
	}
	c.Client.IntroToken = f.intro
	for _, name := range []string{"DROVER_CLIENT_INTRO_TOKEN", "NOMAD_CLIENT_INTRO_TOKEN"} {
		if c.Client.IntroToken == "" {
			c.Client.IntroToken = os.Getenv(name)
		}
	}
	c.Server.Enabled = c.Server.Enabled || f.server
	c.Client.Enabled = c.Client.Enabled || f.client
	c.LogJSON = c.LogJSON || f.logJSON
	c.Client.Servers = append(c.Client.Servers, f.servers...)
	if f.bootstrap > 0 {
		c.Server.BootstrapExpect = f.bootstrap
	}
	for _, kv := range f.meta {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, fmt.Errorf("-meta wants key=value, got %q", kv)
		}
		if c.Client.Meta == nil {
			c.Client.Meta = map[string]string{}
		}
		c.Client.Meta[k] = v
	}
	return c, nil
}

// Main is the agent command. It returns the exit code.
func Main(ctx context.Context, args []string, version string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("agent", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprintln(stderr, "Usage: drover agent -dev | -config FILE [options]")
		fs.PrintDefaults()
	}
	keepInherited()
	var f flags
	f.set(fs)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if err := run(ctx, &f, fs.Args(), version, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "Error:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, f *flags, rest []string, version string, stdout, stderr io.Writer) error {
	if len(rest) > 0 {
		return fmt.Errorf("the agent takes no arguments, got %q", rest)
	}
	c, err := f.load()
	if err != nil {
		return err
	}
	if err := validate(c); err != nil {
		return err
	}
	a, err := New(Options{Config: c, Reload: f.load, Version: version, Output: stderr})
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	hup := make(chan os.Signal, 1)
	notifyReload(hup)
	defer signal.Stop(hup)
	go func() {
		for range hup {
			if err := a.Reload(""); err != nil {
				a.logger.Error("reload the configuration; everything stays as it was", "error", err)
			} else {
				a.logger.Info("configuration reloaded")
			}
		}
	}()
	return a.Run(ctx, func() { a.banner(stdout) })
}

// untilSignal returns a context that an interrupt or SIGTERM ends, with the signal as its cause.
func untilSignal(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			cancel(ended{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// validate checks a configuration; -dev needs no data directory.
func validate(c *config.Config) error {
	checked := *c
	if c.DevMode && checked.DataDir == "" {
		checked.DataDir = os.TempDir()
	}
	if err := checked.Validate(); err != nil {
		return fmt.Errorf("configuration:\n%w", err)
	}
	return nil
}

func (a *Agent) banner(w io.Writer) {
	parts := []string{}
	if a.config.Server.Enabled {
		parts = append(parts, "server")
	}
	if a.config.Client.Enabled {
		parts = append(parts, "node")
	}
	fmt.Fprintf(w, "==> Drover %s agent started (%s)\n    API:        %s://%s\n    Data:       %s\n    Plugins:    %s\n",
		a.version, strings.Join(parts, " and "), a.scheme(), a.httpLn.Addr(), a.dirs.data, a.dirs.plugins)
	if a.dirs.temp {
		fmt.Fprintln(w, "    -dev: tasks and everything else are gone when this agent ends")
	}
}
