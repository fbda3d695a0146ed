package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/core/pluginhost/process"
	"github.com/droverhq/drover/core/pluginhost/store"
	"github.com/droverhq/drover/sdk/host"
)

// Host runs the plugins of one node.
type Host struct {
	config Config
	log    hclog.Logger
	store  *store.Store

	credentials *host.Credentials // nil: plugins are not asked for TLS

	ctx        context.Context
	cancel     context.CancelFunc
	endPlugins atomic.Bool // Stop was asked to end them
	copiesLeft atomic.Bool // the store may hold what no generation needs any more
	endIdle    atomic.Bool // Stop was asked to end those without tasks
	turns      chan struct{}
	background sync.WaitGroup
	events     *router
	nodeEvents chan *model.NodeEvent
	reviewKick chan struct{}

	mu         sync.Mutex
	blocks     blocks
	trust      Trust
	nextTrust  Trust // of the next reload
	families   map[string]*family
	claims     map[string]*family // by kind and name of the plugin
	records    map[string]Record
	recovered  bool
	scanned    bool   // plugin_dir has been read once
	dirError   string // why plugin_dir cannot be used, since dirErrorAt
	dirErrorAt time.Time
	snapshot   *Snapshot
	update     chan struct{} // closed when snapshot changes
	wake       chan struct{} // closed when anything changes
}

// New checks the configuration and makes the host's directories. It starts nothing.
func New(config Config) (*Host, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	b, err := newBlocks(config.Blocks)
	if err != nil {
		return nil, err
	}
	if err := config.Trust.check(b); err != nil {
		return nil, err
	}
	s, err := store.Open(filepath.Join(config.DataDir, "plugin-store"))
	if err != nil {
		return nil, err
	}
	h := &Host{
		config: config, log: config.Logger.Named("plugins"), store: s, blocks: b, trust: config.Trust, nextTrust: config.Trust,
		turns:      make(chan struct{}, config.Limits.Launches),
		events:     newRouter(),
		nodeEvents: make(chan *model.NodeEvent, maxNodeEvents),
		reviewKick: make(chan struct{}, 1),
		families:   map[string]*family{},
		claims:     map[string]*family{},
		records:    map[string]Record{},
		snapshot:   &Snapshot{},
		update:     make(chan struct{}),
		wake:       make(chan struct{}),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if config.TLS || pluginsUseTCP {
		if h.credentials, err = h.loadCredentials(); err != nil {
			return nil, fmt.Errorf("plugin host: %w", err)
		}
	}
	for _, dir := range []string{h.logDir(), config.RunDir, filepath.Join(config.RunDir, "p")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("plugin host: %w", err)
		}
	}
	return h, nil
}

// Start takes up the plugins of an earlier agent, scans plugin_dir once and goes on in the background. It returns before
// any plugin is ready; see Settled. It must be called once.
func (h *Host) Start(ctx context.Context) error {
	records, err := h.config.Records.Load()
	if err != nil {
		h.log.Error("plugins of an earlier agent cannot be found again; they are launched anew", "error", err)
	}
	h.restore(records)
	h.scan(true)
	h.prune()
	h.background.Go(h.look)
	return ctx.Err()
}

// StopOptions say what becomes of the plugins.
type StopOptions struct {
	// EndPlugins ends every plugin process; otherwise they run on and the next agent reattaches them.
	EndPlugins bool
	// EndIdle ends the plugins that hold no task: nothing is lost with them, and nothing is left of an agent that is not
	// started again.
	EndIdle bool
}

// Stop ends the host. The node must have been shut down before: facades are dead afterwards. ctx bounds the wait.
func (h *Host) Stop(ctx context.Context, o StopOptions) error {
	h.endPlugins.Store(o.EndPlugins)
	h.endIdle.Store(o.EndIdle)
	h.cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		h.background.Wait()
	}()
	select {
	case <-over:
	case <-ctx.Done():
		return fmt.Errorf("stop plugin host: %w", ctx.Err())
	}
	h.changed() // wakes those who wait for a driver
	if o.EndPlugins {
		return h.endRest(ctx)
	}
	if o.EndIdle {
		h.leaveNothing(ctx)
	}
	return nil
}

// leaveNothing removes what belongs to files of which no process is left; the log collector ends when it has no stream.
func (h *Host) leaveNothing(ctx context.Context) {
	h.mu.Lock()
	busy := map[string]bool{}
	for _, rec := range h.records {
		busy[rec.File] = true
	}
	var idle []*family
	for _, f := range h.families {
		if !busy[f.file] {
			idle = append(idle, f)
		}
	}
	h.mu.Unlock()
	for _, f := range idle {
		h.closeStreams(ctx, f)
		if err := os.RemoveAll(f.runDir()); err != nil {
			h.log.Warn("plugin's run directory is not removed", "file", f.file, "error", err)
		}
	}
	os.Remove(filepath.Join(h.config.RunDir, "p")) // only when nothing is in it
}

// endRest ends recorded processes that were never attached, and removes what only processes need.
func (h *Host) endRest(ctx context.Context) error {
	h.mu.Lock()
	records := h.records
	h.records = map[string]Record{}
	families := h.families
	h.mu.Unlock()
	var errs []error
	for _, rec := range records {
		if p, err := process.Find(rec.Process); err == nil {
			errs = append(errs, p.Kill())
		}
	}
	errs = append(errs, h.config.Records.Save(map[string]Record{}))
	for _, f := range families {
		h.closeStreams(ctx, f)
		errs = append(errs, f.removeDirs())
	}
	os.Remove(h.usersDir()) // unless something else is in it, or it was never made
	return errors.Join(errs...)
}

func (h *Host) closeStreams(ctx context.Context, f *family) {
	c := h.config.Collector
	if c == nil {
		return
	}
	ids := []string{f.stderrStream()}
	for _, g := range f.generations {
		ids = append(ids, g.stdoutStream())
	}
	for _, id := range ids {
		if err := c.CloseStream(ctx, id); err != nil {
			h.log.Warn("plugin's log is not closed", "stream", id, "error", err)
		}
	}
}

// Run is Start, waiting for ctx to end, and Stop with a few seconds' time.
func (h *Host) Run(ctx context.Context, o StopOptions) error {
	if err := h.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	const patience = 15 * time.Second
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return h.Stop(stop, o)
}

// Settled waits until every plugin that was found at the start has fingerprinted once, or failed. Plugins may be silent
// for long: give ctx a deadline.
func (h *Host) Settled(ctx context.Context) error {
	for {
		h.mu.Lock()
		waiting, wake := h.unsettled(), h.wake
		h.mu.Unlock()
		if waiting == "" {
			return nil
		}
		select {
		case <-wake:
		case <-h.ctx.Done():
			return ErrStopped
		case <-ctx.Done():
			return fmt.Errorf("plugin %s has not reported yet: %w", waiting, ctx.Err())
		}
	}
}

func (h *Host) unsettled() string {
	for _, f := range h.families {
		if g := f.shown(); g != nil && !g.settled() {
			return f.file
		}
	}
	return ""
}

func (g *generation) settled() bool {
	return g.machine.Shown.Known || g.machine.State == lifecycle.Failed || g.machine.Final()
}

// Recovered is the node's word that it has tried to recover every task it stored. Until then generations that were there
// before this agent are not retired for having no tasks.
func (h *Host) Recovered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recovered = true
	for _, f := range h.families {
		for _, g := range f.generations {
			g.tasksChanged()
		}
	}
}

func (h *Host) now() time.Time { return time.Now() }

func (h *Host) logDir() string { return filepath.Join(h.config.DataDir, "plugin-logs") }
