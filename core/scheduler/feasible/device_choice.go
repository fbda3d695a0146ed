package feasible

import (
	"slices"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// devicePick is what one request gets: instances of one group.
type devicePick struct {
	ask   *deviceAsk
	group *model.NodeDevice
	ids   []string
}

// pickDevices gives one instance its devices: each request all of one group, so that every request gets some and their
// wishes are met as well as can be. It returns what each request got, in order, and how well the wishes were met, or false.
func pickDevices(n *model.Node, used *fleet.Exact, asks []deviceAsk) (picks []devicePick, score float64, ok bool) {
	groups, contended, ok := greedy(n, used, asks)
	if contended {
		groups, ok = search(n, used, asks, groups, ok)
	}
	if !ok {
		return nil, 0, false
	}
	picks = make([]devicePick, 0, len(asks))
	var sum, weights float64
	for i := range asks {
		a := &asks[i]
		s, w := a.affinity(groups[i])
		sum, weights = sum+s, weights+w
		picks = append(picks, devicePick{a, groups[i], freeInstances(groups[i], used, picks, a.count)})
	}
	if weights == 0 {
		return picks, 0, true
	}
	return picks, sum / weights, true
}

// greedy gives each request in turn the group that it likes best, the first of equals. contended: one would have got
// another group, or one at all, but for the requests before it. Otherwise nothing better can be had.
func greedy(n *model.Node, used *fleet.Exact, asks []deviceAsk) (groups []*model.NodeDevice, contended, ok bool) {
	groups = make([]*model.NodeDevice, 0, len(asks))
	for i := range asks {
		a := &asks[i]
		var best *model.NodeDevice
		var bestSum, beaten float64
		lost := false // a group that only the requests before left too little of
		for _, d := range n.NodeResources.Devices {
			if !a.matches(d) {
				continue
			}
			taken := taken(groups, asks, d)
			if !hasFree(d, used, a.count+taken) {
				if taken > 0 && hasFree(d, used, a.count) {
					s, _ := a.affinity(d)
					if !lost || s > beaten {
						lost, beaten = true, s
					}
				}
				continue
			}
			s, _ := a.affinity(d)
			if best == nil || s > bestSum {
				best, bestSum = d, s
			}
		}
		if best == nil {
			return nil, lost, false
		}
		contended = contended || lost && beaten > bestSum
		groups = append(groups, best)
	}
	return groups, contended, true
}

// taken is how many of a group's instances the requests before get.
func taken(groups []*model.NodeDevice, asks []deviceAsk, d *model.NodeDevice) int {
	n := 0
	for i, g := range groups {
		if g == d {
			n += asks[i].count
		}
	}
	return n
}

// searchSteps bounds a search. Requests and groups are few: what is not found by then is a job made to be hard.
const searchSteps = 4_000

// searcher looks for the best way to give each request a group.
type searcher struct {
	asks    []deviceAsk
	options [][]option // of each request
	free    map[*model.NodeDevice]int
	most    []float64 // of each request and those after it: how well they can be met at best
	chosen  []*model.NodeDevice
	best    []*model.NodeDevice
	bestSum float64
	steps   int
}

// option is a group that a request could have.
type option struct {
	group *model.NodeDevice
	sum   float64 // of its affinities
}

// search finds groups for all requests such that the sum of their affinities is greatest; groups is an answer to be
// beaten if found is set.
func search(n *model.Node, used *fleet.Exact, asks []deviceAsk, groups []*model.NodeDevice, found bool) ([]*model.NodeDevice, bool) {
	s := &searcher{asks: asks, free: map[*model.NodeDevice]int{}, most: make([]float64, len(asks)+1), options: make([][]option, len(asks))}
	for i := len(asks) - 1; i >= 0; i-- {
		a := &asks[i]
		for _, d := range n.NodeResources.Devices {
			if a.matches(d) && hasFree(d, used, a.count) {
				sum, _ := a.affinity(d)
				s.options[i] = append(s.options[i], option{d, sum})
				s.free[d] = freeCount(d, used)
			}
		}
		if len(s.options[i]) == 0 {
			return nil, false
		}
		slices.SortStableFunc(s.options[i], func(x, y option) int { // the best first, so that a good answer is found early
			switch {
			case x.sum > y.sum:
				return -1
			case x.sum < y.sum:
				return 1
			}
			return 0
		})
		s.most[i] = s.most[i+1] + s.options[i][0].sum
	}
	if found {
		s.best = groups
		for i := range asks {
			sum, _ := asks[i].affinity(groups[i])
			s.bestSum += sum
		}
	}
	s.descend(0)
	return s.best, s.best != nil
}

func (s *searcher) descend(sum float64) {
	i := len(s.chosen)
	if s.best != nil && sum+s.most[i] <= s.bestSum {
		return // it cannot become better
	}
	if i == len(s.asks) {
		s.best, s.bestSum = slices.Clone(s.chosen), sum
		return
	}
	count := s.asks[i].count
	for _, o := range s.options[i] {
		if s.steps++; s.steps > searchSteps {
			return
		}
		if s.free[o.group] < count {
			continue
		}
		s.free[o.group] -= count
		s.chosen = append(s.chosen, o.group)
		s.descend(sum + o.sum)
		s.chosen = s.chosen[:i]
		s.free[o.group] += count
	}
}

// hasFree tells whether as many instances of a group are free as are asked for.
func hasFree(d *model.NodeDevice, used *fleet.Exact, count int) bool {
	if count > len(d.Instances) {
		return false
	}
	for _, i := range d.Instances {
		if count > 0 && isFree(d, i, used, nil) {
			count--
		}
	}
	return count <= 0
}

// freeCount is how many instances of a group are free.
func freeCount(d *model.NodeDevice, used *fleet.Exact) int {
	n := 0
	for _, i := range d.Instances {
		if isFree(d, i, used, nil) {
			n++
		}
	}
	return n
}

// freeInstances are the first free instances of a group, as many as asked for.
func freeInstances(d *model.NodeDevice, used *fleet.Exact, picks []devicePick, count int) []string {
	ids := make([]string, 0, count)
	for _, i := range d.Instances {
		if len(ids) < count && isFree(d, i, used, picks) {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

// isFree tells whether nobody holds a device: neither on the node nor among the picks made so far.
func isFree(d *model.NodeDevice, i *model.NodeDeviceInstance, used *fleet.Exact, picks []devicePick) bool {
	if !i.Healthy || used.HoldsDevices() && used.Device(fleet.DeviceKey(d.Vendor, d.Type, d.Name, i.ID)) {
		return false
	}
	for _, p := range picks {
		if p.group == d && slices.Contains(p.ids, i.ID) {
			return false
		}
	}
	return true
}
