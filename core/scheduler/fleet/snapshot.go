package fleet

import (
	"iter"

	"github.com/droverhq/drover/core/model"
)

// Snapshot is the fleet at one moment. It never changes and may be read by any number of goroutines.
type Snapshot struct {
	nodes   []*Nodes
	use     []*Use
	count   int
	rows    int
	shards  [shards]map[string]Num
	classes names
	dcs     names
	pools   names
	drivers names
}

// Count is the number of nodes, whatever their status.
func (s *Snapshot) Count() int { return s.count }

// Rows is one more than the largest row in use.
func (s *Snapshot) Rows() int { return s.rows }

// Pages is the number of pages.
func (s *Snapshot) Pages() int { return len(s.nodes) }

// Page returns page p of the columns. Row i of page p is node number p*PageSize+i.
func (s *Snapshot) Page(p int) (*Nodes, *Use) { return s.nodes[p], s.use[p] }

// Row returns the page and the index in it of a node number.
func (s *Snapshot) Row(n Num) (*Nodes, *Use, uint32) {
	return s.nodes[n/PageSize], s.use[n/PageSize], uint32(n % PageSize)
}

// Number returns the row of a node.
func (s *Snapshot) Number(id string) (Num, bool) {
	n, ok := s.shards[shard(id)][id]
	if !ok || s.nodes[n/PageSize].Node[n%PageSize] == nil {
		return 0, false
	}
	return n, true
}

// Node returns the node of a row, nil for an empty row.
func (s *Snapshot) Node(n Num) *model.Node { return s.nodes[n/PageSize].Node[n%PageSize] }

// NodeByID returns a node, nil when there is none of that ID.
func (s *Snapshot) NodeByID(id string) *model.Node {
	n, ok := s.Number(id)
	if !ok {
		return nil
	}
	return s.Node(n)
}

// Capacity returns what allocations may use of a node; Allocs is 0 where there is no limit.
func (s *Snapshot) Capacity(n Num) Amount { return s.nodes[n/PageSize].Capacity(uint32(n % PageSize)) }

// InUse returns what allocations use of a node.
func (s *Snapshot) InUse(n Num) Amount {
	i := uint32(n % PageSize)
	return s.use[n/PageSize].InUse(i)
}

// Exact returns the ports, cores and devices in use on a node; nil when there are none.
func (s *Snapshot) Exact(n Num) *Exact { return s.use[n/PageSize].Exact[n%PageSize] }

// All goes over all nodes in row order.
func (s *Snapshot) All() iter.Seq2[Num, *model.Node] {
	return func(yield func(Num, *model.Node) bool) {
		for p, page := range s.nodes {
			for i, n := range page.Node {
				if n != nil && !yield(Num(p*PageSize+i), n) {
					return
				}
			}
		}
	}
}

// Classes is one more than the largest class number.
func (s *Snapshot) Classes() int { return s.classes.size() }

// ClassName returns the computed class behind a number of the Class column.
func (s *Snapshot) ClassName(class uint32) string { return s.classes.name(class) }

// Datacenters is one more than the largest datacenter number.
func (s *Snapshot) Datacenters() int { return s.dcs.size() }

// Datacenter returns the name behind a number of the DC column; "" for a number that is not in use.
func (s *Snapshot) Datacenter(dc uint32) string { return s.dcs.name(dc) }

// Pool returns the number of a node pool in the Pool column; false when no node is in it.
func (s *Snapshot) Pool(name string) (uint32, bool) { return s.pools.number(name) }

// Driver returns the bit of a driver in the Drivers column. It is 0 when the driver has no bit: then no node has it, or
// there are more than 64 drivers in the fleet and the node itself must be asked (known is true).
func (s *Snapshot) Driver(name string) (bit uint64, known bool) {
	id, ok := s.drivers.number(name)
	if !ok {
		return 0, false
	}
	if id >= 64 {
		return 0, true
	}
	return 1 << id, true
}
