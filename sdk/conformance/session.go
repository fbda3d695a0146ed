package conformance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/host/onenode"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/schema"
)

// cleanUpTimeout bounds how long a check's tasks may take to go.
const cleanUpTimeout = 30 * time.Second

// session is one plugin under inspection. Checks share one process of it, which is made anew when it is gone.
type session struct {
	config Config
	plugin onenode.Plugin
	dir    string
	marker string // value of the variable that marks every task's processes

	shared *host.Process
	tasks  []*task // of the check that runs

	// What is learned once.
	info   plugin.Info
	spec   *schema.Spec
	caps   driver.Capabilities
	known  bool // info
	driven bool // spec, caps and the made up tasks
}

// markerVariable marks the processes of tasks, so that those left behind can be told.
const markerVariable = "DROVER_CONFORMANCE"

func newSession(config Config) (*session, error) {
	path, err := find(config.Path)
	if err != nil {
		return nil, err
	}
	config.Path = path
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	}
	dir, err := os.MkdirTemp("", "conf") // short: socket paths have little room
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // tasks may run as any user
		return nil, err
	}
	marker := make([]byte, 8)
	_, _ = rand.Read(marker)
	s := &session{config: config, dir: dir, marker: hex.EncodeToString(marker)}
	s.plugin = onenode.Plugin{
		Path: path, Args: config.Args, Config: config.PluginConfig, SocketDir: dir,
		Env:  append([]string{"DROVER_RUN_DIR=" + filepath.Join(dir, "run")}, config.Env...),
		Host: plugin.HostInfo{Name: "conformance", Version: "1.0.0", DevMode: !config.Production},
	}
	return s, nil
}

func (s *session) close() {
	s.end()
	_ = os.RemoveAll(s.dir)
}

// end ends the shared process.
func (s *session) end() {
	if s.shared != nil {
		s.shared.Kill(context.Background())
		s.shared = nil
	}
}

// process returns the shared process, configured and ready.
func (s *session) process(ctx context.Context) (*host.Process, error) {
	if s.shared != nil && s.shared.State() == nil {
		return s.shared, nil
	}
	s.end()
	var err error
	s.shared, err = s.plugin.Start(ctx)
	return s.shared, err
}

// identify learns who the plugin is.
func (s *session) identify(ctx context.Context) error {
	if s.known {
		return nil
	}
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	if s.info, err = p.Client.Info(ctx); err != nil {
		return err
	}
	s.known = true
	return nil
}

// driver returns the shared process as a driver and learns what tasks look like.
func (s *session) driver(ctx context.Context) (*host.Driver, error) {
	p, err := s.process(ctx)
	if err != nil {
		return nil, err
	}
	d := p.Client.Driver()
	if s.driven {
		return d, nil
	}
	if s.spec, err = d.TaskConfigSchema(ctx); err != nil {
		return nil, err
	}
	if s.caps, err = d.Capabilities(ctx); err != nil {
		return nil, err
	}
	s.makeUp()
	s.driven = true
	return d, nil
}

// raw connects without the mending that package host does, for messages that a proper host never sends.
func raw(p *host.Process) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///plugin", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, p.Reattach.Network, p.Reattach.Addr)
		}))
}

// crash kills the shared process as the system would, and forgets it. Its tasks are left to whoever comes next.
func (s *session) crash() error {
	p := s.shared
	if err := p.Process().Kill(); err != nil {
		return err
	}
	<-p.Done()
	_ = p.Client.Close()
	s.shared = nil
	return nil
}

// cleanUp removes the tasks that a check started.
func (s *session) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTimeout)
	defer cancel()
	for _, t := range s.tasks {
		s.discard(ctx, t)
	}
	s.tasks = nil
}

// discard destroys a task, in a process that may have to recover it first.
func (s *session) discard(ctx context.Context, t *task) {
	defer t.Remove()
	if !t.started {
		return
	}
	p, err := s.process(ctx)
	if err != nil {
		return
	}
	d := p.Client.Driver()
	if err := d.DestroyTask(ctx, t.Config.ID, true); errors.Is(err, host.ErrTaskNotFound) && !t.destroyed {
		if d.RecoverTask(ctx, &t.handle) == nil {
			_ = d.DestroyTask(ctx, t.Config.ID, true)
		}
	}
}

// describe fills a report with what the plugin says about itself.
func (s *session) describe(r *Report) {
	if !s.known {
		return
	}
	r.Type, r.Name, r.Version, r.APIVersions = typeName(s.info.Type), s.info.Name, s.info.Version, s.info.APIVersions
	add := func(name, value string) { r.Capabilities = append(r.Capabilities, Capability{name, value}) }
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTimeout)
	defer cancel()
	if p, err := s.process(ctx); err == nil {
		if ext, err := p.Client.Negotiate(ctx, s.plugin.Host); err == nil {
			add("extensions", orNone(ext.Names))
			if ext.StateVersion != 0 {
				add("state version", strconv.Itoa(ext.StateVersion))
			}
		}
	}
	if !s.driven {
		return
	}
	var modes []string
	for _, m := range s.caps.NetworkModes {
		modes = append(modes, m.String())
	}
	for _, c := range []struct {
		name string
		has  bool
	}{
		{"signals", s.caps.SendSignals}, {"exec", s.caps.Exec}, {"creates networks", s.caps.MustCreateNetwork},
		{"mounts", !s.caps.NoMounts}, {"own log collection", s.caps.DisableLogCollection}, {"dynamic users", s.caps.DynamicUsers},
	} {
		add(c.name, yesNo(c.has))
	}
	add("file system isolation", s.caps.FSIsolation.String())
	add("network modes", orNone(modes))
	for _, result := range r.Results {
		if result.Name == "driver/stats-first-sample" {
			add("statistics", yesNo(result.Status == Pass || result.Status == Warn))
		}
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// eventually asks until the answer is nil; the last answer is the error after the time.
func eventually(ctx context.Context, within time.Duration, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w", within, err)
		case <-ticker.C:
		}
	}
}
