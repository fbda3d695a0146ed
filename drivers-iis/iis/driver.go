// Package iis is the iis task driver: a task is a site of IIS with its application pools, or a set of applications in a
// site that exists.
package iis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/drivers-iis/appcmd"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
)

// Names are what jobs call the driver: that of the newer public driver, and that of the older one for existing jobs.
const (
	Name    = "iis"
	OldName = "win_iis"
)

// NameFor is the driver's name by the name of its file: a copy called drover-driver-win-iis serves jobs of that driver.
func NameFor(executable string) string {
	base := strings.ToLower(filepath.Base(strings.ReplaceAll(executable, `\`, "/")))
	if strings.Contains(base, "win-iis") || strings.Contains(base, "win_iis") {
		return OldName
	}
	return Name
}

// look is how old a snapshot of IIS may be that is good enough to notice that a task has ended.
const look = time.Second

// machine is what the driver needs of Windows beside appcmd.
type machine interface {
	// service says whether IIS can run sites here: an error if it is not installed, a reason if it is not well.
	service(toolPath string) (version, unwell string, err error)
	// permit lets an account use a directory; access is of icacls, such as F or RX.
	permit(ctx context.Context, dir, account, access string) error
	bind(ctx context.Context, endpoint string, sni bool, thumbprint string) error
	unbind(ctx context.Context, endpoint string, sni bool) error
	importPFX(pfx []byte, password string) (thumbprint string, err error)
	removeCertificate(thumbprint string) error
	usage(pid int) (processUsage, error)
	kill(pid int) error
}

// processUsage is what a process has used since it started.
type processUsage struct {
	user, system time.Duration
	memory       uint64 // bytes, working set
}

// Driver runs sites.
type Driver struct {
	name    string
	version string
	owner   Owner
	logger  hclog.Logger
	machine machine

	mu      sync.Mutex
	config  pluginConfig
	tasks   map[string]*task
	strange map[string]bool // leftovers seen once; the second time they are removed

	changes sync.Mutex // IIS' configuration is one file: its writers take turns

	looking sync.Mutex // guards seen and seenAt
	seen    snapshot
	seenAt  time.Time
}

// task is a task that this process knows.
type task struct {
	state State
	emit  driver.EmitFunc
	nudge chan struct{} // has room for one: have a look at once

	mu   sync.Mutex
	used map[string]sample // per pid
}

type sample struct {
	at time.Time
	processUsage
}

// Interface guards.
var (
	_ driver.Driver[taskConfig, State]   = (*Driver)(nil)
	_ driver.WithConfig                  = (*Driver)(nil)
	_ driver.WithConfigCheck[taskConfig] = (*Driver)(nil)
	_ driver.WithSignals                 = (*Driver)(nil)
	_ driver.WithStats                   = (*Driver)(nil)
	_ driver.WithInspect                 = (*Driver)(nil)
	_ driver.WithFingerprintInterval     = (*Driver)(nil)
)

// New makes the driver.
func New(name, version string, owner Owner, logger hclog.Logger) *Driver {
	return &Driver{
		name: name, version: version, owner: owner, logger: logger, machine: thisMachine(),
		config: pluginConfig{Enabled: true, FingerprintInterval: 30 * time.Second, AllowedIdentities: []string{poolIdentity}},
		tasks:  map[string]*task{}, strange: map[string]bool{},
	}
}

// Plugin makes what [plugin.Serve] serves.
func Plugin(d *Driver) plugin.Plugin {
	return driver.New(driver.Info{Name: d.name, Version: d.version, NoMounts: true, DisableLogCollection: true,
		NetworkModes: []driver.NetworkMode{driver.NetworkHost}}, d)
}

// Config takes the plugin block.
func (d *Driver) Config() driver.ConfigHandler { return driver.Configure(d.configure) }

func (d *Driver) configure(_ context.Context, c *driver.Configuration[pluginConfig]) error {
	if err := c.Config.check(); err != nil {
		return err
	}
	if c.Node == nil {
		return nil // it was only checked
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.config = c.Config
	return nil
}

func (d *Driver) configured() pluginConfig {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.config
}

// FingerprintInterval is the operator's.
func (d *Driver) FingerprintInterval() time.Duration { return d.configured().FingerprintInterval }

// toolPath is where appcmd.exe lies.
func (d *Driver) toolPath() string {
	if path := d.configured().AppcmdPath; path != "" {
		return path
	}
	root := os.Getenv("SystemRoot")
	if root == "" {
		root = `C:\Windows`
	}
	return filepath.Join(root, "System32", "inetsrv", "appcmd.exe")
}

func (d *Driver) server() appcmd.Server { return appcmd.Server{Runner: appcmd.Tool(d.toolPath())} }

// Fingerprint looks for IIS and, as it comes by regularly, for what dead tasks left.
func (d *Driver) Fingerprint(ctx context.Context) (*driver.Fingerprint, error) {
	c := d.configured()
	if !c.Enabled {
		return &driver.Fingerprint{Health: driver.Undetected, Description: "disabled: set enabled in the plugin's config"}, nil
	}
	version, unwell, err := d.machine.service(d.toolPath())
	if err != nil {
		return &driver.Fingerprint{Health: driver.Undetected, Description: err.Error()}, nil
	}
	prefix := "driver." + d.name
	f := &driver.Fingerprint{Health: driver.Healthy, Attributes: map[string]attribute.Value{
		prefix:                                 attribute.Truth(true),
		prefix + ".version":                    attribute.Text(d.version),
		prefix + ".iis_version":                attribute.Text(version),
		prefix + ".directory_security_enabled": attribute.Truth(c.DirectorySecurity),
		prefix + ".target_websites_enabled":    attribute.Truth(len(c.AllowedTargetWebsites) > 0),
	}}
	inetsrv := filepath.Dir(d.toolPath())
	for name, module := range map[string]string{"rewrite_module": filepath.Join(inetsrv, "rewrite.dll"), "aspnet_core": filepath.Join(inetsrv, "aspnetcorev2.dll")} {
		_, err := os.Stat(module)
		f.Attributes[prefix+".iis_"+name+"_available"] = attribute.Truth(err == nil)
	}
	if unwell != "" {
		f.Health, f.Description = driver.Unhealthy, unwell
		return f, nil
	}
	now, err := d.look(ctx, 0)
	if err != nil {
		f.Health, f.Description = driver.Unhealthy, err.Error()
		return f, nil
	}
	d.sweep(ctx, now)
	return f, nil
}

// look asks IIS for its state, unless that was done less than maxAge ago: one call serves all tasks.
func (d *Driver) look(ctx context.Context, maxAge time.Duration) (snapshot, error) {
	d.looking.Lock()
	defer d.looking.Unlock()
	if maxAge > 0 && time.Since(d.seenAt) < maxAge {
		return d.seen, nil
	}
	server := d.server()
	now := snapshot{sites: map[string]appcmd.Site{}, pools: map[string]appcmd.Pool{}}
	pools, err := server.Pools(ctx)
	if err != nil {
		return now, err
	}
	for _, p := range pools {
		now.pools[p.Name] = p
	}
	sites, err := server.Sites(ctx)
	if err != nil {
		return now, err
	}
	for _, s := range sites {
		now.sites[s.Name] = s
	}
	if now.workers, err = server.Workers(ctx); err != nil {
		return now, err
	}
	d.seen, d.seenAt = now, time.Now()
	return now, nil
}

func (d *Driver) task(id string) (*task, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.tasks[id]; t != nil {
		return t, nil
	}
	return nil, driver.ErrTaskNotFound
}

func (d *Driver) keep(id string, t *task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tasks[id] = t
}

// Recover finds a task's site again.
func (d *Driver) Recover(ctx context.Context, req *driver.RecoverRequest[taskConfig, State]) error {
	now, err := d.look(ctx, look)
	if err != nil {
		return err
	}
	if len(req.State.Pools) == 0 || !req.State.exists(now) {
		return fmt.Errorf("IIS has no site and no application pool of this task any more")
	}
	d.keep(req.Task.ID, newTask(req.State, req.Emit))
	return nil
}

func newTask(s State, emit driver.EmitFunc) *task {
	return &task{state: s, emit: emit, nudge: make(chan struct{}, 1), used: map[string]sample{}}
}

// Wait looks at IIS once a second, for all tasks together.
func (d *Driver) Wait(ctx context.Context, id string) (*driver.ExitResult, error) {
	t, err := d.task(id)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	maxAge := look
	for failures := 0; ; {
		now, err := d.look(ctx, maxAge)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil: // IIS is being changed, or restarted
			if failures++; failures == 3 {
				d.logger.Warn("cannot look at IIS", "error", err)
			}
		default:
			failures = 0
			if exit := judge(t.state, now); exit != nil {
				return exit, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.nudge:
			maxAge = 0
		case <-ticker.C:
			maxAge = look / 2
		}
	}
}

// Inspect shows what a task is in IIS.
func (d *Driver) Inspect(ctx context.Context, id string) (*driver.Inspection, error) {
	t, err := d.task(id)
	if err != nil {
		return nil, err
	}
	site := t.state.Site
	if site == "" {
		site = t.state.Target
	}
	return &driver.Inspection{StartedAt: time.Unix(t.state.StartedAt, 0),
		Attributes: map[string]string{"site": site, "application_pools": strings.Join(t.state.Pools, " ")}}, nil
}

// errUnknownSignal names what a task can be sent.
var errUnknownSignal = errors.New("a site understands SIGHUP or RECYCLE (recycle its pools), STOP (pause its pools), START (go on), SIGINT, SIGTERM and SIGKILL (end)")
