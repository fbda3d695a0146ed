package fleet

import "github.com/droverhq/drover/core/model"

// Draft is a snapshot on which one may try out changes of use: what a plan stops and places. It costs a copy of the page
// list, and one page for each page it changes. A draft is not safe for concurrent use.
type Draft struct {
	*Snapshot
	use   []*Use
	owned []bool
	exact map[Num]bool // rows whose Exact belongs to the draft
}

// Draft returns a draft that starts as the snapshot.
func (s *Snapshot) Draft() *Draft { return &Draft{Snapshot: s, use: s.use} }

// Page returns page p of the columns, with the draft's changes.
func (d *Draft) Page(p int) (*Nodes, *Use) { return d.nodes[p], d.use[p] }

// Row returns the page and the index in it of a node number, with the draft's changes.
func (d *Draft) Row(n Num) (*Nodes, *Use, uint32) {
	return d.nodes[n/PageSize], d.use[n/PageSize], uint32(n % PageSize)
}

// InUse returns what allocations use of a node, with the draft's changes.
func (d *Draft) InUse(n Num) Amount { return d.use[n/PageSize].InUse(uint32(n % PageSize)) }

// Exact returns the ports, cores and devices in use on a node, with the draft's changes.
func (d *Draft) Exact(n Num) *Exact { return d.use[n/PageSize].Exact[n%PageSize] }

// Take counts what an allocation uses on a node.
func (d *Draft) Take(n Num, r *model.AllocatedResources) { d.apply(n, r, 1) }

// TakeAmount is Take for an allocation that holds no port, core or device and whose sum is known.
func (d *Draft) TakeAmount(n Num, a Amount) {
	use, i := d.own(n)
	use.add(i, a, 1)
}

// Release counts that an allocation uses nothing any more.
func (d *Draft) Release(n Num, r *model.AllocatedResources) { d.apply(n, r, -1) }

// ReleaseAlloc releases what the allocation uses now, if it uses anything.
func (d *Draft) ReleaseAlloc(a *model.Allocation) {
	r := counted(a)
	if r == nil {
		return
	}
	if n, ok := d.Number(a.NodeID); ok {
		d.Release(n, r)
	}
}

func (d *Draft) apply(n Num, r *model.AllocatedResources, sign int) {
	use, i := d.own(n)
	use.add(i, amountOf(r), int64(sign))
	if !holdsExact(r) {
		return
	}
	e := use.Exact[i]
	if !d.exact[n] {
		e = e.Clone()
		use.Exact[i] = e
		if d.exact == nil {
			d.exact = map[Num]bool{}
		}
		d.exact[n] = true
	}
	e.Apply(r, sign)
	if node := d.nodes[n/PageSize].Node[i]; node != nil {
		use.Ports[i] = dynamicInUse(node, e)
	}
}

// own returns the node's page of use, safe to change.
func (d *Draft) own(n Num) (*Use, uint32) {
	p := n / PageSize
	if d.owned == nil {
		d.owned = make([]bool, len(d.use))
		d.use = append([]*Use(nil), d.use...)
	}
	if !d.owned[p] {
		page := *d.use[p]
		d.use[p] = &page
		d.owned[p] = true
	}
	return d.use[p], uint32(n % PageSize)
}

// amountOf sums up what an allocation uses. Its dynamic ports are counted by the node, not here.
func amountOf(r *model.AllocatedResources) Amount {
	c := r.Comparable()
	return Amount{CPU: c.CPUShares, Memory: c.MemoryMB, Disk: c.DiskMB, Cores: int32(len(c.Cores)), Allocs: 1}
}
