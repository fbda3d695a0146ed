package fleet

import "maps"

// names gives small numbers to strings that many nodes share (datacenters, pools, classes, drivers) and takes them back
// when no node uses them any more. A snapshot holds a copy of the struct; the first change after that copies the maps.
type names struct {
	ids    map[string]uint32
	byID   []string
	refs   []int32
	free   []uint32
	shared bool
}

// snapshot returns what readers may keep.
func (n *names) snapshot() names {
	n.shared = true
	return *n
}

// own makes the maps safe to change.
func (n *names) own() {
	if n.ids == nil {
		n.ids = map[string]uint32{}
	}
	if n.shared {
		n.ids = maps.Clone(n.ids)
		n.byID = append([]string(nil), n.byID...)
		n.shared = false
	}
}

// take counts one more user of the name and returns its number. refs and free are never read by snapshots.
func (n *names) take(name string) uint32 {
	if id, ok := n.ids[name]; ok {
		n.refs[id]++
		return id
	}
	n.own()
	var id uint32
	if last := len(n.free) - 1; last >= 0 {
		id = n.free[last]
		n.free = n.free[:last]
		n.byID[id] = name
		n.refs[id] = 1
	} else {
		id = uint32(len(n.byID))
		n.byID = append(n.byID, name)
		n.refs = append(n.refs, 1)
	}
	n.ids[name] = id
	return id
}

// drop counts one user less.
func (n *names) drop(id uint32) {
	n.refs[id]--
	if n.refs[id] > 0 {
		return
	}
	n.own()
	delete(n.ids, n.byID[id])
	n.byID[id] = ""
	n.free = append(n.free, id)
}

// number returns the name's number.
func (n *names) number(name string) (uint32, bool) {
	id, ok := n.ids[name]
	return id, ok
}

// name returns what id stands for.
func (n *names) name(id uint32) string { return n.byID[id] }

// size is one more than the largest number ever given.
func (n *names) size() int { return len(n.byID) }
