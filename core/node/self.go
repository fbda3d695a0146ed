package node

import (
	"context"
	"maps"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

// pluginDebounce collects changes of plugins that come together.
const pluginDebounce = 20 * time.Millisecond

// self is the node as it shows itself.
type self struct {
	n       *Node
	changed chan struct{} // something the servers should know

	mu      sync.Mutex
	node    *model.Node // replaced, never changed
	schemas []rpc.DriverSchema
	dynamic map[string]*string // meta set at run time; nil value = removed
}

func newSelf(n *Node) *self {
	s := &self{n: n, changed: make(chan struct{}, 1), dynamic: n.store.Meta()}
	s.refresh()
	return s
}

// shown is the node without its secret; not to be changed.
func (s *self) shown() *model.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node
}

func (s *self) forServers() (*model.Node, []rpc.DriverSchema) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := *s.node
	return &c, s.schemas
}

// watch follows the plugins until ctx ends.
func (s *self) watch(ctx context.Context) {
	events := s.n.cfg.Plugins.Events()
	changed := s.refresh() // what changed since the node was made
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			s.n.send.event(e)
			continue
		case <-changed:
		}
		pause(ctx, pluginDebounce)
		changed = s.refresh()
	}
}

// refresh looks at the plugins again and has the node registered if that made a difference.
func (s *self) refresh() (changed <-chan struct{}) {
	plugins, changed := s.n.cfg.Plugins.Plugins()
	before := s.replace(plugins)
	if before != nil && len(before.NodeResources.Devices) > 0 {
		s.n.tellOfDevices(before.NodeResources.Devices, plugins.Devices)
	}
	return changed
}

// replace puts the node together anew and returns what it was.
func (s *self) replace(plugins *Plugins) (was *model.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.build(plugins)
	before := s.node
	s.node, s.schemas = next, plugins.Schemas
	if before != nil && !reflect.DeepEqual(essence(before), essence(next)) {
		poke(s.changed)
	}
	return before
}

// build puts the node together. Called with the lock held.
func (s *self) build(p *Plugins) *model.Node {
	cfg, found := s.n.cfg, s.n.found
	name := cfg.Name
	if name == "" {
		name, _ = os.Hostname()
	}
	attributes := maps.Clone(p.Attributes) // of which none may hide what the node found out itself
	if attributes == nil {
		attributes = map[string]string{}
	}
	maps.Copy(attributes, found.Attributes)
	resources := found.Resources
	resources.Networks = slices.Clone(resources.Networks)
	for _, m := range p.Networks {
		if m.Healthy {
			resources.Networks = append(resources.Networks, &model.NodeNetwork{Mode: m.Mode})
		}
	}
	resources.Devices = p.Devices
	resources.MinDynamicPort, resources.MaxDynamicPort = cfg.MinDynamicPort, cfg.MaxDynamicPort
	reserved := found.Reserved
	return &model.Node{
		ID: s.n.who.id, Name: name, Datacenter: cfg.Datacenter, NodeClass: cfg.Class, NodePool: cfg.Pool,
		HTTPAddr: cfg.HTTPAddr, TLSEnabled: cfg.HTTPS, Attributes: attributes, NodeResources: &resources, ReservedResources: &reserved,
		Meta: s.meta(), Links: map[string]string{}, CgroupParent: cfg.CgroupParent, NodeMaxAllocs: cfg.MaxAllocs,
		HostVolumes: cfg.HostVolumes, HostNetworks: cfg.HostNetworks,
		Drivers: p.Drivers, Plugins: p.Plugins, NetworkModes: p.Networks,
		Status: model.NodeStatusReady, SchedulingEligibility: model.NodeEligible,
	}
}

// meta is the configured meta with what was set at run time.
func (s *self) meta() map[string]string {
	out := maps.Clone(s.n.cfg.Meta)
	if out == nil {
		out = map[string]string{}
	}
	for k, v := range s.dynamic {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = *v
		}
	}
	return out
}

// setMeta changes the dynamic meta; a nil value removes a key.
func (s *self) setMeta(changes map[string]*string) error {
	s.mu.Lock()
	next := maps.Clone(s.dynamic)
	if next == nil {
		next = map[string]*string{}
	}
	for k, v := range changes {
		if v == nil {
			if _, configured := s.n.cfg.Meta[k]; !configured {
				delete(next, k)
				continue
			}
		}
		next[k] = v
	}
	s.dynamic = next
	s.mu.Unlock()
	if err := s.n.store.PutMeta(next); err != nil {
		return err
	}
	s.refresh()
	return nil
}

// essence leaves out what changes all the time and decides nothing.
func essence(n *model.Node) *model.Node {
	c := *n
	c.Drivers = map[string]*model.DriverInfo{}
	for name, d := range n.Drivers {
		dc := *d
		dc.UpdateTime = time.Time{}
		c.Drivers[name] = &dc
	}
	c.Plugins = nil
	for _, p := range n.Plugins {
		pc := *p
		pc.TaskCount, pc.UpdatedAt = 0, 0
		c.Plugins = append(c.Plugins, &pc)
	}
	return &c
}
