package template

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/taskfiles/protocol"
)

// gather returns what is known of the needs, in their order. What is not known yet is left out.
func (m *Manager) gather(needs []protocol.Need) ([]protocol.Known, error) {
	var out []protocol.Known
	for _, n := range needs {
		k := protocol.Known{Need: n}
		switch n.Kind {
		case protocol.NeedFile:
			b, err := m.readFile(n.Name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%w: file %q: %w", ErrTemplate, n.Name, err)
			}
			k.File = b
		case protocol.NeedService, protocol.NeedServices:
			regs, ok := m.services(n)
			if !ok {
				continue
			}
			if n.Kind == protocol.NeedServices {
				k.Names = names(regs)
			} else {
				k.Services = services(regs, n)
			}
		default:
			return nil, fmt.Errorf("%w: it needs %s, which this node does not know", ErrTemplate, n)
		}
		out = append(out, k)
	}
	return out, nil
}

func (m *Manager) readFile(path string) ([]byte, error) {
	place, err := m.cfg.Find(path)
	if err != nil {
		return nil, err
	}
	return place.read()
}

// services is what the catalog says; the watch is shared by the task's templates.
func (m *Manager) services(n protocol.Need) ([]*model.ServiceRegistration, bool) {
	key := protocol.Need{Kind: n.Kind, Name: n.Name}
	sub := m.subs[key]
	if sub == nil {
		sub = m.cfg.Catalog.Watch(m.cfg.Namespace, n.Name, m.poke)
		m.subs[key] = sub
	}
	return sub.Latest()
}

// forget ends the watches that no template needs any more.
func (m *Manager) forget() {
	for key, sub := range m.subs {
		if !slices.ContainsFunc(m.items, func(it *item) bool {
			return slices.ContainsFunc(it.needs, func(n protocol.Need) bool { return n.Kind == key.Kind && n.Name == key.Name })
		}) {
			sub.Close()
			delete(m.subs, key)
		}
	}
}

func services(regs []*model.ServiceRegistration, n protocol.Need) []protocol.Service {
	if n.Choose > 0 {
		regs = model.ChooseServices(regs, n.Choose, n.Hash)
	}
	out := make([]protocol.Service, 0, len(regs))
	for _, r := range regs {
		out = append(out, protocol.Service{
			ID: r.ID, Name: r.ServiceName, NodeID: r.NodeID, Datacenter: r.Datacenter, Address: r.Address, JobID: r.JobID, AllocID: r.AllocID,
			Tags: r.Tags, Port: r.Port,
		})
	}
	return out
}

// names are the services by name, each with every tag of its instances.
func names(regs []*model.ServiceRegistration) []protocol.ServiceName {
	out := []protocol.ServiceName{}
	for _, r := range regs {
		i, found := slices.BinarySearchFunc(out, r.ServiceName, func(s protocol.ServiceName, name string) int {
			switch {
			case s.Name < name:
				return -1
			case s.Name > name:
				return 1
			}
			return 0
		})
		if !found {
			out = slices.Insert(out, i, protocol.ServiceName{Name: r.ServiceName})
		}
		for _, t := range r.Tags {
			if at, has := slices.BinarySearch(out[i].Tags, t); !has {
				out[i].Tags = slices.Insert(out[i].Tags, at, t)
			}
		}
	}
	return out
}
