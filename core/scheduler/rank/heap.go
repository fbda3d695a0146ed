package rank

// maxTerms is the largest number of score terms a node in a heap can have: packing, devices, anti-affinity, affinity.
const maxTerms = 4

// candidate is a feasible node.
type candidate struct {
	sum    float64 // of the terms that do not depend on the spreads
	fixed  float64 // the part of sum that never changes: affinity and devices
	num    uint32
	tie    uint32 // between equals the smaller wins; depends on the seed
	bucket int32
	pos    int32 // in its heap; -1: in none
	same   int32 // allocations of the group on the node
	terms  uint8
}

// heap holds numbers of candidates, the best on top: higher sum, then smaller tie. It has four children per node, which
// is less deep than two. The candidates know their place in it.
type heap struct{ list []int32 }

const arity = 4

func better(a, b *candidate) bool {
	return a.sum > b.sum || a.sum == b.sum && a.tie < b.tie
}

func (h *heap) push(c []candidate, k int32) {
	h.list = append(h.list, k)
	h.up(c, len(h.list)-1)
}

// append adds without order; fix must follow.
func (h *heap) append(c []candidate, k int32) {
	c[k].pos = int32(len(h.list))
	h.list = append(h.list, k)
}

// fix puts a heap in order.
func (h *heap) fix(c []candidate) {
	for i := len(h.list)/arity + 1; i > 0; i-- {
		if i <= len(h.list) {
			h.down(c, i-1)
		}
	}
}

func (h *heap) remove(c []candidate, i int32) {
	last := len(h.list) - 1
	c[h.list[i]].pos = -1
	moved := h.list[last]
	h.list = h.list[:last]
	if int(i) == last {
		return
	}
	h.list[i] = moved
	c[moved].pos = i
	h.update(c, i)
}

// update restores the order after the candidate at i changed.
func (h *heap) update(c []candidate, i int32) {
	if i > 0 && better(&c[h.list[i]], &c[h.list[(i-1)/arity]]) {
		h.up(c, int(i))
		return
	}
	h.down(c, int(i))
}

func (h *heap) up(c []candidate, i int) {
	k := h.list[i]
	for i > 0 {
		parent := (i - 1) / arity
		if !better(&c[k], &c[h.list[parent]]) {
			break
		}
		h.list[i] = h.list[parent]
		c[h.list[i]].pos = int32(i)
		i = parent
	}
	h.list[i] = k
	c[k].pos = int32(i)
}

func (h *heap) down(c []candidate, i int) {
	k := h.list[i]
	for {
		first := i*arity + 1
		if first >= len(h.list) {
			break
		}
		best := first
		for child := first + 1; child < min(first+arity, len(h.list)); child++ {
			if better(&c[h.list[child]], &c[h.list[best]]) {
				best = child
			}
		}
		if !better(&c[h.list[best]], &c[k]) {
			break
		}
		h.list[i] = h.list[best]
		c[h.list[i]].pos = int32(i)
		i = best
	}
	h.list[i] = k
	c[k].pos = int32(i)
}
