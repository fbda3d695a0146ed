package fleet

import (
	"maps"

	"github.com/droverhq/drover/core/model"
)

// shards splits the node IDs so that adding one node after a snapshot copies a small map.
const shards = 64

func shard(id string) uint32 {
	h := uint32(2166136261)
	for i := 0; i < len(id); i++ {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return h % shards
}

// Table is the fleet as the state store keeps it. It is not safe for concurrent use: its owner serialises all calls,
// Snapshot included.
type Table struct {
	epoch       uint64 // pages of an older epoch may be seen by a snapshot
	nodes       []*Nodes
	use         []*Use
	count       int
	rows        int
	free        []Num
	shards      [shards]map[string]Num
	shardEpoch  [shards]uint64
	classes     names
	dcs         names
	pools       names
	drivers     names
	driverUsers map[Num][]uint32 // the drivers counted for each node
}

// New returns a table without nodes.
func New() *Table {
	return &Table{epoch: 1, driverUsers: map[Num][]uint32{}}
}

// Snapshot returns the fleet as it is now.
func (t *Table) Snapshot() *Snapshot {
	t.epoch++
	return &Snapshot{
		nodes:   append([]*Nodes(nil), t.nodes...),
		use:     append([]*Use(nil), t.use...),
		count:   t.count,
		rows:    t.rows,
		shards:  t.shards,
		classes: t.classes.snapshot(),
		dcs:     t.dcs.snapshot(),
		pools:   t.pools.snapshot(),
		drivers: t.drivers.snapshot(),
	}
}

// UpsertNode adds a node or replaces what is known of it. The node must not be changed afterwards.
func (t *Table) UpsertNode(n *model.Node) {
	num := t.number(n.ID)
	page, i := t.nodePage(num)
	if page.Node[i] == nil {
		t.count++
	} else {
		t.release(page, num, i)
	}
	class := n.ComputedClass
	if class == "" {
		class = ComputedClass(n)
	}
	page.Node[i] = n
	page.Class[i] = t.classes.take(class)
	page.DC[i] = t.dcs.take(n.Datacenter)
	page.Pool[i] = t.pools.take(n.NodePool)
	page.Drivers[i] = t.healthyDrivers(num, n)
	page.Flags[i] = 0
	if n.Ready() {
		page.Flags[i] |= Ready
	}
	setCapacity(page, i, n)
	t.recountPorts(num, page, i)
}

// DeleteNode forgets a node. What allocations still use of it is kept until they are removed.
func (t *Table) DeleteNode(id string) {
	num, ok := t.shards[shard(id)][id]
	if !ok {
		return
	}
	page, i := t.nodePage(num)
	if page.Node[i] == nil {
		return
	}
	t.release(page, num, i)
	page.Node[i] = nil
	page.Flags[i] = 0
	page.Drivers[i] = 0
	t.count--
	t.collect(id, num)
}

// ApplyAlloc counts the change from old to new, either of which may be nil. Allocations that are terminal on either side
// use nothing.
func (t *Table) ApplyAlloc(old, new *model.Allocation) {
	oldRes, newRes := counted(old), counted(new)
	if oldRes == newRes && (oldRes == nil || old.NodeID == new.NodeID) {
		return
	}
	if oldRes != nil {
		t.charge(old.NodeID, oldRes, -1)
	}
	if newRes != nil {
		t.charge(new.NodeID, newRes, 1)
	}
}

// counted returns what an allocation uses, nil when nothing.
func counted(a *model.Allocation) *model.AllocatedResources {
	if a == nil || a.AllocatedResources == nil || a.Terminal() {
		return nil
	}
	return a.AllocatedResources
}

// charge counts r on a node with the given sign.
func (t *Table) charge(nodeID string, r *model.AllocatedResources, sign int) {
	num := t.number(nodeID)
	use, i := t.usePage(num)
	use.add(i, amountOf(r), int64(sign))
	if holdsExact(r) {
		e := use.Exact[i]
		if e == nil || e.epoch != t.epoch {
			e = e.Clone()
			e.epoch = t.epoch
			use.Exact[i] = e
		}
		e.Apply(r, sign)
		nodes := t.nodes[num/PageSize]
		if n := nodes.Node[i]; n != nil {
			use.Ports[i] = dynamicInUse(n, e)
		}
	}
	if sign < 0 && use.Allocs[i] == 0 && t.nodes[num/PageSize].Node[i] == nil {
		t.collect(nodeID, num)
	}
}

// number returns the node's row and makes one when it has none.
func (t *Table) number(id string) Num {
	s := shard(id)
	if num, ok := t.shards[s][id]; ok {
		return num
	}
	var num Num
	if last := len(t.free) - 1; last >= 0 {
		num = t.free[last]
		t.free = t.free[:last]
	} else {
		num = Num(t.rows)
		t.rows++
		if int(num)/PageSize == len(t.nodes) {
			t.nodes = append(t.nodes, &Nodes{epoch: t.epoch})
			t.use = append(t.use, &Use{epoch: t.epoch})
		}
	}
	t.ownShard(s)
	t.shards[s][id] = num
	return num
}

// collect gives back the row of a node that is gone when nothing uses it.
func (t *Table) collect(id string, num Num) {
	use, i := t.usePage(num)
	if use.Allocs[i] != 0 {
		return
	}
	use.CPU[i], use.Memory[i], use.Disk[i], use.Cores[i], use.Ports[i] = 0, 0, 0, 0, 0
	use.Exact[i] = nil
	s := shard(id)
	t.ownShard(s)
	delete(t.shards[s], id)
	t.free = append(t.free, num)
}

func (t *Table) ownShard(s uint32) {
	if t.shards[s] == nil {
		t.shards[s] = map[string]Num{}
	} else if t.shardEpoch[s] != t.epoch {
		t.shards[s] = maps.Clone(t.shards[s])
	}
	t.shardEpoch[s] = t.epoch
}

// nodePage returns the node's page of the node columns, safe to change.
func (t *Table) nodePage(num Num) (*Nodes, uint32) {
	p := num / PageSize
	if t.nodes[p].epoch != t.epoch {
		page := *t.nodes[p]
		page.epoch = t.epoch
		t.nodes[p] = &page
	}
	return t.nodes[p], uint32(num % PageSize)
}

// usePage returns the node's page of the use columns, safe to change.
func (t *Table) usePage(num Num) (*Use, uint32) {
	p := num / PageSize
	if t.use[p].epoch != t.epoch {
		page := *t.use[p]
		page.epoch = t.epoch
		t.use[p] = &page
	}
	return t.use[p], uint32(num % PageSize)
}

// release gives back the names that the row's node holds.
func (t *Table) release(page *Nodes, num Num, i uint32) {
	t.classes.drop(page.Class[i])
	t.dcs.drop(page.DC[i])
	t.pools.drop(page.Pool[i])
	for _, d := range t.driverUsers[num] {
		t.drivers.drop(d)
	}
	delete(t.driverUsers, num)
}
