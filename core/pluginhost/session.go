package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-version"

	"github.com/droverhq/drover/core/pluginhost/process"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/schema"
)

// connection is a plugin process that we can talk to and have not configured yet.
type connection struct {
	proc          *process.Process
	client        *host.Client
	network, addr string
	calls         *gate
	started       time.Time
	cert          string   // the plugin's; empty without TLS
	stdout        string   // FIFO
	drained       *os.File // our end of its stdout, if nobody else reads it
	reattached    bool
	confined      string // see removeSocket
}

// close ends our side.
func (c *connection) close() {
	c.client.Close()
	if c.drained != nil {
		c.drained.Close()
	}
}

func (c *connection) destroy() error {
	c.close()
	err := c.proc.Kill()
	c.removeSocket()
	return err
}

// session is one process of a generation, configured and in use.
type session struct {
	*connection
	info         plugin.Info
	apiVersion   string
	extensions   host.Extensions
	capabilities driver.Capabilities
	schema       *schema.Spec
	schemaDigest string
	block        Block

	killed atomic.Pointer[string] // why we killed it

	barrier *barrier
	gone    chan struct{} // closed when the process ended, its tasks went to another one, or we let go of it
	left    sync.Once     // of gone
	closed  chan struct{} // closed with the connection
	once    sync.Once
	cancel  context.CancelFunc
	loops   sync.WaitGroup
}

// release ends our side. The process is not touched.
func (s *session) release() {
	s.once.Do(func() {
		s.cancel()
		s.leave()
		close(s.closed)
		s.close()
	})
	s.loops.Wait()
}

// leave tells those who use the process to look for another one. Calls under way go on.
func (s *session) leave() { s.left.Do(func() { close(s.gone) }) }

// outlivesAgent reports whether the next agent takes the process up again. A device plugin holds nothing for a task, and
// those that others wrote count on a fresh start.
func (s *session) outlivesAgent() bool { return s.info.Type != plugin.TypeDevice }

// end ends the process in good order: the driver is told, then the process is asked, then it is killed.
func (s *session) end(ctx context.Context, grace time.Duration) error {
	s.cancel()
	ctx, cancel := context.WithTimeout(ctx, 2*grace)
	defer cancel()
	if s.info.Type == plugin.TypeDriver {
		tell, done := context.WithTimeout(ctx, grace)
		_ = s.client.Driver().Shutdown(tell) // best effort
		done()
	}
	ask, done := context.WithTimeout(ctx, grace)
	defer done()
	if s.client.Stop(ask) == nil {
		select {
		case <-s.proc.Done():
		case <-ask.Done():
		}
	}
	s.release()
	err := s.proc.Kill()
	s.removeSocket()
	return err
}

// establish brings a connected process to where it can run tasks. If it fails the process is gone.
func (g *generation) establish(ctx context.Context, c *connection, block Block) (_ *session, err error) {
	defer func() {
		switch {
		case err == nil:
		case c.reattached && g.stopping():
			c.close() // the next agent will try
		default:
			err = errors.Join(err, c.destroy())
		}
	}()
	s := &session{connection: c, block: block, barrier: newBarrier(),
		gone: make(chan struct{}), closed: make(chan struct{}), cancel: func() {}}
	if s.info, err = introduce(g, ctx, s); err != nil {
		return nil, err
	}
	call := g.family.host.config.Limits.Call
	info := plugin.HostInfo{Name: "drover", Version: g.family.host.config.Version, DevMode: g.family.host.config.DevMode}
	err = within(ctx, call, func(ctx context.Context) (err error) {
		s.extensions, err = c.client.Negotiate(ctx, info)
		return err
	})
	if err != nil {
		return nil, err
	}
	switch {
	case !c.reattached:
		err = g.configure(ctx, s, info)
	case s.offersHandOver() && !g.handed():
		// The agent before us may have died in the middle of a hand-over.
		err = within(ctx, call, c.client.Resume)
	}
	if err != nil {
		return nil, err
	}
	switch s.info.Type {
	case plugin.TypeNetwork:
		return s, g.placeNetwork(ctx, s)
	case plugin.TypeDevice:
		return s, nil
	}
	if err := g.askDriver(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

// introduce asks who it is and decides whether it may be that.
func introduce(g *generation, ctx context.Context, s *session) (info plugin.Info, err error) {
	err = within(ctx, g.family.host.config.Limits.Call, func(ctx context.Context) (err error) {
		info, err = s.client.Info(ctx)
		return err
	})
	if err != nil {
		return info, err
	}
	g.introduced(info)
	if err := g.trusted(); err != nil && !s.reattached { // one that runs is not ended for it: it drains
		return info, final("%v", err)
	}
	if s.apiVersion, err = checkInfo(info); err != nil {
		return info, err
	}
	return info, g.family.host.admit(g, info)
}

const maxName = 128

var nameShape = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// checkInfo reports why a plugin that calls itself so cannot be used, and the contract version to speak.
func checkInfo(info plugin.Info) (apiVersion string, err error) {
	switch {
	case info.Name == "":
		return "", final("it reports no name")
	case len(info.Name) > maxName || !nameShape.MatchString(info.Name):
		return "", final("it reports the name %.60q; names have at most %d letters, digits, dots, dashes and underscores", info.Name, maxName)
	case info.Type != plugin.TypeDriver && info.Type != plugin.TypeDevice && info.Type != plugin.TypeNetwork:
		return "", final("it reports plugin type %d, want a task driver (%d), a device plugin (%d) or a network plugin (%d)",
			info.Type, plugin.TypeDriver, plugin.TypeDevice, plugin.TypeNetwork)
	}
	if _, err := version.NewVersion(info.Version); err != nil {
		return "", final("it reports the version %.60q, which is none (want one such as 1.2.3)", info.Version)
	}
	spoken := plugin.APIVersion
	if info.Type == plugin.TypeNetwork {
		spoken = plugin.NetworkAPIVersion
	}
	ours := version.Must(version.NewVersion(spoken))
	for _, text := range info.APIVersions {
		v, err := version.NewVersion(text)
		if err != nil {
			return "", final("it lists the contract version %.60q, which is none", text)
		}
		if v.Equal(ours) {
			return text, nil // its own spelling goes back to it
		}
	}
	return "", final("it speaks contract versions %.200q, this agent %s", info.APIVersions, spoken)
}

// configure decodes the operator's block by the plugin's own schema and hands it over.
func (g *generation) configure(ctx context.Context, s *session, info plugin.HostInfo) error {
	call := g.family.host.config.Limits.Call
	var spec *schema.Spec
	err := within(ctx, call, func(ctx context.Context) (err error) {
		spec, err = s.client.ConfigSchema(ctx)
		return err
	})
	if err != nil {
		return err
	}
	config, err := encodeConfig(spec, s.block, s.info.Name)
	if err != nil {
		return err
	}
	node := g.family.host.config.Node
	return within(ctx, call, func(ctx context.Context) error {
		err := s.client.SetConfig(ctx, &plugin.RawConfig{Msgpack: config, Node: &node, APIVersion: s.apiVersion, Host: info})
		if err != nil {
			return fmt.Errorf("it refuses its configuration: %w", err)
		}
		return nil
	})
}

// encodeConfig checks a plugin block against the plugin's schema. An absent block is an empty one, so defaults apply.
func encodeConfig(spec *schema.Spec, block Block, name string) ([]byte, error) {
	if block.Name == "" {
		block.Name = name
	}
	if spec == nil {
		if len(block.Config) > 0 {
			return nil, final("plugin %q: config: the plugin takes no configuration", block.Name)
		}
		const emptyMap = "\x80"
		return []byte(emptyMap), nil
	}
	if err := spec.Check(); err != nil {
		return nil, final("its config schema cannot be used: %v", err)
	}
	config := block.Config
	if config == nil {
		config = map[string]any{}
	}
	data, err := spec.Encode(config, nil)
	if err != nil {
		return nil, final("plugin %q: config: %v", block.Name, err)
	}
	return data, nil
}

// askDriver learns what the driver can do.
func (g *generation) askDriver(ctx context.Context, s *session) (err error) {
	call, d := g.family.host.config.Limits.Call, s.client.Driver()
	if err := within(ctx, call, d.Init); err != nil {
		return err
	}
	err = within(ctx, call, func(ctx context.Context) (err error) {
		s.capabilities, err = d.Capabilities(ctx)
		return err
	})
	if err != nil {
		return err
	}
	err = within(ctx, call, func(ctx context.Context) (err error) {
		s.schema, err = d.TaskConfigSchema(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if s.schema == nil {
		s.schema = &schema.Spec{Kind: schema.KindObject}
	}
	if err := s.schema.Check(); err != nil {
		return final("its task config schema cannot be used: %v", err)
	}
	s.schemaDigest = s.schema.Digest()
	return nil
}

func within(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}
