package consensus

import (
	"maps"
	"reflect"
	"slices"

	"github.com/droverhq/drover/core/model"
)

// PlacedSet is new allocations of one group that differ in little: most of an allocation, why it was placed there
// included, is the same for all of a plan. They are in the log, and in memory, once.
type PlacedSet struct {
	Template *model.Allocation // what all of them share
	Each     []Placed
}

// Placed is what one allocation of a set has of its own. Resources is nil for those that have the template's.
type Placed struct {
	ID, Name, NodeID, NodeName string
	Resources                  *model.AllocatedResources
}

// own are the fields of an allocation that Placed carries.
var own = []string{"ID", "Name", "NodeID", "NodeName", "AllocatedResources"}

// Pack splits a plan's allocations into sets and the rest, by node. The order is that of node IDs.
func Pack(allocs map[string][]*model.Allocation) (sets []PlacedSet, rest map[string][]*model.Allocation) {
	p := newPacker()
	for _, node := range slices.Sorted(maps.Keys(allocs)) {
		for _, a := range allocs[node] {
			if p.add(a) {
				continue
			}
			if rest == nil {
				rest = map[string][]*model.Allocation{}
			}
			rest[node] = append(rest[node], a)
		}
	}
	return p.sets, rest
}

// packer builds sets.
type packer struct {
	shared []int // fields that allocations of a set have in common
	sets   []PlacedSet
}

func newPacker() *packer {
	p := &packer{}
	t := reflect.TypeFor[model.Allocation]()
	for i := range t.NumField() {
		if !slices.Contains(own, t.Field(i).Name) {
			p.shared = append(p.shared, i)
		}
	}
	return p
}

// add puts an allocation into the set it belongs to, or begins one. One with a list or map of its own is not for a set.
func (p *packer) add(a *model.Allocation) bool {
	v := reflect.ValueOf(a).Elem()
	for _, i := range p.shared {
		if k := v.Field(i).Kind(); (k == reflect.Slice || k == reflect.Map) && v.Field(i).Len() > 0 {
			return false
		}
	}
	for i := range p.sets {
		if s := &p.sets[i]; p.same(reflect.ValueOf(s.Template).Elem(), v) {
			s.Each = append(s.Each, placed(a, s.Template))
			return true
		}
	}
	if len(p.sets) == maxSets {
		return false
	}
	t := *a
	t.ID, t.Name, t.NodeID, t.NodeName = "", "", "", ""
	p.sets = append(p.sets, PlacedSet{Template: &t, Each: []Placed{placed(a, &t)}})
	return true
}

// maxSets bounds the sets of a plan: a plan has one or two for each group, and each allocation is compared with all.
const maxSets = 32

func placed(a, template *model.Allocation) Placed {
	out := Placed{ID: a.ID, Name: a.Name, NodeID: a.NodeID, NodeName: a.NodeName}
	if a.AllocatedResources != template.AllocatedResources {
		out.Resources = a.AllocatedResources
	}
	return out
}

func (p *packer) same(a, b reflect.Value) bool {
	for _, i := range p.shared {
		f, g := a.Field(i), b.Field(i)
		if k := f.Kind(); k == reflect.Slice || k == reflect.Map {
			continue // empty, see add
		}
		if !f.Equal(g) {
			return false
		}
	}
	return true
}

// unpack adds the allocations of sets to those that were not packed. They share what the templates point to.
func unpack(sets []PlacedSet, rest map[string][]*model.Allocation) map[string][]*model.Allocation {
	if len(sets) == 0 {
		return rest
	}
	out := make(map[string][]*model.Allocation, len(rest))
	for node, list := range rest {
		out[node] = slices.Clone(list)
	}
	for _, s := range sets {
		if s.Template == nil {
			continue
		}
		for _, e := range s.Each {
			a := *s.Template
			a.ID, a.Name, a.NodeID, a.NodeName = e.ID, e.Name, e.NodeID, e.NodeName
			if e.Resources != nil {
				a.AllocatedResources = e.Resources
			}
			out[a.NodeID] = append(out[a.NodeID], &a)
		}
	}
	return out
}
