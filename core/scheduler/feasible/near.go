package feasible

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// Nearest finds among nodes that refuse an instance those that miss by least: one kind that only lacks room, one kind
// that a rule is against. Looking at a node costs about as much as checking it; rules of a class are asked once.
type Nearest struct {
	room, rule found
}

// found is a kind of miss and the nodes that miss in the same way.
type found struct {
	miss
	node  *model.Node
	nodes int
}

// miss is everything that keeps one node from taking one more instance.
type miss struct {
	rules  []Verdict    // what the node is
	exact  Verdict      // ports or devices that are taken; OK for none
	lacks  fleet.Amount // amounts that are short
	beyond bool         // an empty node is too small
}

// obstacles counts what would have to change.
func (m *miss) obstacles() int {
	n := len(m.rules)
	if m.exact != OK {
		n++
	}
	for _, d := range dimensions {
		if d.of(&m.lacks) > 0 {
			n++
		}
	}
	return n
}

// far adds up the shortages as shares of what is asked for.
func (m *miss) far(ask *fleet.Amount) (sum float64) {
	for _, d := range dimensions {
		if short := d.of(&m.lacks); short > 0 {
			sum += float64(short) / float64(max(d.of(ask), 1))
		}
	}
	return sum
}

func (m *miss) same(o *miss) bool {
	return m.exact == o.exact && m.lacks == o.lacks && m.beyond == o.beyond && slices.Equal(m.rules, o.rules)
}

// dimensions are the amounts by the names that reports use.
var dimensions = []struct {
	name string
	of   func(*fleet.Amount) int64
}{
	{"cpu", func(a *fleet.Amount) int64 { return a.CPU }},
	{"memory", func(a *fleet.Amount) int64 { return a.Memory }},
	{"disk", func(a *fleet.Amount) int64 { return a.Disk }},
	{"cores", func(a *fleet.Amount) int64 { return int64(a.Cores) }},
	{"allocations", func(a *fleet.Amount) int64 { return int64(a.Allocs) }},
	{"ports", func(a *fleet.Amount) int64 { return int64(a.Ports) }},
}

// Add looks at a node that was refused. The node must be a Candidate.
func (f *Nearest) Add(r *Rules, n fleet.Num) {
	nodes, use, i := r.draft.Row(n)
	m := r.miss(n, nodes, use, i)
	if m.obstacles() == 0 {
		return // it has become free meanwhile
	}
	kind := &f.rule
	if len(m.rules) == 0 {
		kind = &f.room
	}
	if kind.nodes > 0 && m.same(&kind.miss) {
		kind.nodes++
		return
	}
	ask := r.Ask.Amount(nodes.PerCore[i])
	if kind.nodes == 0 || cmp.Or(cmp.Compare(m.obstacles(), kind.obstacles()), cmp.Compare(m.far(&ask), kind.far(&ask))) < 0 {
		*kind = found{m, nodes.Node[i], 1}
	}
}

// Report returns the nearest kinds of miss, those of fewer obstacles first and room before rules.
func (f *Nearest) Report(r *Rules) []*model.NearMiss {
	var out []*model.NearMiss
	kinds := []*found{&f.room, &f.rule}
	if f.rule.nodes > 0 && f.rule.obstacles() < f.room.obstacles() {
		kinds[0], kinds[1] = kinds[1], kinds[0]
	}
	for _, k := range kinds {
		if k.nodes > 0 {
			out = append(out, k.report(r))
		}
	}
	return out
}

func (k *found) report(r *Rules) *model.NearMiss {
	m := &model.NearMiss{Nodes: k.nodes, NodeID: k.node.ID, NodeName: k.node.Name, Beyond: k.beyond}
	for _, d := range dimensions {
		if short := d.of(&k.lacks); short > 0 {
			if m.Lacks == nil {
				m.Lacks = map[string]int64{}
			}
			m.Lacks[d.name] = short
		}
	}
	verdicts := k.rules
	if k.exact != OK {
		verdicts = append(slices.Clone(verdicts), k.exact)
	}
	for _, v := range verdicts {
		text, _ := r.Reason(v)
		m.Reasons = append(m.Reasons, text)
		if d := r.detail(v, k.node); d != "" && m.Detail == "" {
			m.Detail = d
		}
	}
	return m
}

// miss gathers all that is against a node, where Check stops at the first.
func (r *Rules) miss(n fleet.Num, nodes *fleet.Nodes, use *fleet.Use, i uint32) miss {
	node := nodes.Node[i]
	m := miss{rules: r.allOfClass(nodes.Class[i], node)}
	against := func(v Verdict) {
		if v != OK {
			m.rules = append(m.rules[:len(m.rules):len(m.rules)], v)
		}
	}
	if v := r.drivenBy(nodes, i); v != OK {
		against(v)
	} else if r.configs != nil {
		against(r.ofConfigs(nodes, i))
	}
	for _, list := range [][]labelled{r.jobNode, r.groupNode} {
		for c := range list {
			if !list[c].Holds(node) {
				against(r.reasons.verdict(list[c].text, false))
			}
		}
	}
	if r.uniqueDevices && !hasDevices(node, r.Ask.devices) {
		against(MissingDevices)
	}
	if r.network.unique() {
		against(r.refusal(r.network.refuses(node)))
	}
	against(r.ofVolumes(node))
	for _, d := range r.distinct {
		if !d.allows(n, node) {
			against(r.reasons.verdict(d.text, false))
		}
	}
	capacity, used, ask := nodes.Capacity(i), use.InUse(i), r.Ask.Amount(nodes.PerCore[i])
	m.lacks = lacks(&capacity, &used, &ask)
	m.beyond = fit(&capacity, &fleet.Amount{}, &ask) != OK
	if !r.Ask.Exact() || slices.Contains(m.rules, MissingDevices) || r.network.refuses(node) != "" {
		return m
	}
	counted := r.Ask.simple && nodes.Flags[i]&fleet.Simple != 0 && len(r.Ask.static) == 0
	if counted {
		m.lacks.Ports = max(0, ask.Ports-(nodes.Ports[i]-use.Ports[i]))
	}
	if why := r.Ask.possible(node, use.Exact[i], counted); why != "" {
		m.exact = r.reasons.verdict(why, true)
	}
	return m
}

// lacks is by how much an ask exceeds what is left; ports are left out.
func lacks(capacity, used, ask *fleet.Amount) fleet.Amount {
	var out fleet.Amount
	short := func(ask, capacity, used int64) int64 {
		if ask <= 0 {
			return 0
		}
		return max(0, ask-(capacity-used))
	}
	out.CPU = short(ask.CPU, capacity.CPU, used.CPU)
	out.Memory = short(ask.Memory, capacity.Memory, used.Memory)
	out.Disk = short(ask.Disk, capacity.Disk, used.Disk)
	out.Cores = int32(short(int64(ask.Cores), int64(capacity.Cores), int64(used.Cores)))
	if capacity.Allocs > 0 {
		out.Allocs = int32(short(int64(ask.Allocs), int64(capacity.Allocs), int64(used.Allocs)))
	}
	return out
}

// allOfClass lists the rules against every node of a class. The list must not be changed.
func (r *Rules) allOfClass(class uint32, n *model.Node) []Verdict {
	if list, ok := r.classMisses[class]; ok {
		return list
	}
	var list []Verdict
	for _, conditions := range [][]labelled{r.jobClass, r.groupClass} {
		for c := range conditions {
			if !conditions[c].Holds(n) {
				list = append(list, r.reasons.verdict(conditions[c].text, false))
			}
		}
	}
	if !r.uniqueDevices && !hasDevices(n, r.Ask.devices) {
		list = append(list, MissingDevices)
	}
	if !r.network.unique() {
		if v := r.refusal(r.network.refuses(n)); v != OK {
			list = append(list, v)
		}
	}
	if r.classMisses == nil {
		r.classMisses = map[uint32][]Verdict{}
	}
	r.classMisses[class] = list
	return list
}

// detail says what is the matter on a node where the reason's text is general.
func (r *Rules) detail(v Verdict, n *model.Node) string {
	switch v {
	case MissingDrivers:
		for _, t := range r.group.Tasks {
			if fleet.DriverHealthy(n, t.Driver) {
				continue
			}
			d := n.Drivers[t.Driver]
			switch {
			case d == nil || !d.Detected:
				return fmt.Sprintf("driver %q is not there", t.Driver)
			case d.HealthDescription != "":
				return fmt.Sprintf("driver %q is unhealthy: %s", t.Driver, d.HealthDescription)
			}
			return fmt.Sprintf("driver %q is unhealthy", t.Driver)
		}
	case MissingDevices:
		for i, d := range r.requested() {
			if !hasDevices(n, r.Ask.devices[i:i+1]) {
				if len(d.Constraints) > 0 {
					return fmt.Sprintf("no device %q that meets the request's constraints", d.Name)
				}
				return fmt.Sprintf("no device %q", d.Name)
			}
		}
	case MissingVolumes:
		for _, name := range sortedNames(r.group.Volumes) {
			want := r.group.Volumes[name]
			if hasVolume(n, want) {
				continue
			}
			if h := n.HostVolumes[want.Source]; h != nil && want.Type == "host" {
				return fmt.Sprintf("host volume %q is read-only there", want.Source)
			}
			return fmt.Sprintf("%s volume %q is not there", want.Type, want.Source)
		}
	}
	return ""
}

// requested lists the group's device requests in the order of Ask.devices.
func (r *Rules) requested() (out []*model.RequestedDevice) {
	for _, t := range r.group.Tasks {
		if t.Resources != nil {
			out = append(out, t.Resources.Devices...)
		}
	}
	return out
}

func sortedNames[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
