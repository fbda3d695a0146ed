package feasible

import (
	"math/rand/v2"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// Rules decides for one group on which nodes it may run. It holds what has been found out so far (answers per class,
// counts of distinct constraints), so one Rules serves one group of one evaluation.
type Rules struct {
	// Ask is what one instance needs.
	Ask *Ask

	job     *model.Job
	group   *model.TaskGroup
	draft   *fleet.Draft
	reasons reasons

	anyPool bool
	pool    uint32
	hasPool bool
	dc      []bool // by datacenter number

	jobClass, groupClass []labelled // answered once per class
	jobNode, groupNode   []labelled // answered per node: they name unique properties
	network              networkCheck
	volumes              []*model.VolumeRequest
	drivers              uint64
	otherDrivers         []string // without a bit in the column
	unknownDriver        bool     // no node has one of the drivers
	classJob, classGroup []Verdict
	distinct             []*distinct
	uniqueDevices        bool // the device requests name unique properties
	escaped              bool
	classMisses          map[uint32][]Verdict // see allOfClass
	configs              *configCheck         // nil: configs are not asked
}

// labelled is a condition with the text of its constraint.
type labelled struct {
	Condition
	text string
}

// unasked is a class that has not been asked yet.
const unasked = ^Verdict(0)

// NewRules compiles the rules of a group. The draft is read at every check: what is placed in it counts at once.
func NewRules(d *fleet.Draft, job *model.Job, g *model.TaskGroup, oversubscription bool) *Rules {
	r := &Rules{
		Ask: NewAsk(g, oversubscription), job: job, group: g, draft: d, reasons: newReasons(),
		network:  newNetworkCheck(g),
		classJob: newAnswers(d), classGroup: newAnswers(d),
		anyPool: job.NodePool == model.NodePoolAll,
	}
	r.pool, r.hasPool = d.Pool(poolOf(job))
	r.dc = make([]bool, d.Datacenters())
	for i := range r.dc {
		r.dc[i] = MatchesDatacenter(job, d.Datacenter(uint32(i)))
	}
	r.constrain(job.Constraints, true)
	r.constrain(g.Constraints, false)
	for _, t := range g.Tasks {
		r.constrain(t.Constraints, false)
		r.needDriver(t.Driver)
	}
	for _, v := range g.Volumes {
		r.volumes = append(r.volumes, v)
	}
	r.uniqueDevices = r.Ask.uniqueDevices()
	r.escaped = len(r.jobNode)+len(r.groupNode) > 0 || r.network.unique() || r.uniqueDevices
	return r
}

func newAnswers(d *fleet.Draft) []Verdict {
	out := make([]Verdict, d.Classes())
	for i := range out {
		out[i] = unasked
	}
	return out
}

func poolOf(job *model.Job) string {
	if job.NodePool == "" {
		return model.NodePoolDefault
	}
	return job.NodePool
}

func (r *Rules) constrain(constraints []model.Constraint, wholeJob bool) {
	for _, c := range constraints {
		if c.Operand == model.OpDistinctHosts || c.Operand == model.OpDistinctProperty {
			if d := newDistinct(c, wholeJob); d != nil {
				r.distinct = append(r.distinct, d)
			}
			continue
		}
		l := labelled{NewCondition(c.LTarget, c.Operand, c.RTarget), c.String()}
		list := &r.groupClass
		switch {
		case wholeJob && l.Unique():
			list = &r.jobNode
		case wholeJob:
			list = &r.jobClass
		case l.Unique():
			list = &r.groupNode
		}
		*list = append(*list, l)
	}
}

func (r *Rules) needDriver(name string) {
	bit, known := r.draft.Driver(name)
	switch {
	case !known:
		r.unknownDriver = true
	case bit == 0:
		r.otherDrivers = append(r.otherDrivers, name)
	default:
		r.drivers |= bit
	}
}

// Candidate tells whether the node takes new allocations at all and is in the job's pool and datacenters.
func (r *Rules) Candidate(n fleet.Num) bool {
	nodes, _, i := r.draft.Row(n)
	return r.CandidateRow(nodes, i)
}

// CandidateRow is Candidate for row i of a page.
func (r *Rules) CandidateRow(nodes *fleet.Nodes, i uint32) bool {
	return nodes.Flags[i]&fleet.Ready != 0 && r.inPlace(nodes, i)
}

func (r *Rules) inPlace(nodes *fleet.Nodes, i uint32) bool {
	return r.InPool(nodes, i) && r.dc[nodes.DC[i]]
}

// InPool tells whether row i is in the job's node pool.
func (r *Rules) InPool(nodes *fleet.Nodes, i uint32) bool {
	return r.anyPool || r.hasPool && nodes.Pool[i] == r.pool
}

// Stays tells whether an allocation may stay on its node by the job's datacenters, pool and constraints; room and
// drivers, which it has already, and configs, which its driver took, are not asked.
func (r *Rules) Stays(n fleet.Num) bool {
	nodes, _, i := r.draft.Row(n)
	if nodes.Node[i] == nil || !r.inPlace(nodes, i) || r.ofJob(nodes, i) != OK {
		return false
	}
	v := r.ofGroup(nodes, i)
	return v == OK || v == MissingDevices
}

// Suits tells whether the node is a Candidate whose properties suit the group, whatever room it has.
func (r *Rules) Suits(n fleet.Num) bool {
	nodes, _, i := r.draft.Row(n)
	return r.CandidateRow(nodes, i) && r.static(nodes, i) == OK
}

// Check tells whether one more instance may be placed on the node, and if not, why. The node must be a Candidate.
func (r *Rules) Check(n fleet.Num) Verdict {
	nodes, use, i := r.draft.Row(n)
	return r.CheckRow(n, nodes, use, i)
}

// CheckRow is Check for row i of a page.
func (r *Rules) CheckRow(n fleet.Num, nodes *fleet.Nodes, use *fleet.Use, i uint32) Verdict {
	if v := r.static(nodes, i); v != OK {
		return v
	}
	return r.Room(n, nodes, use, i)
}

// static is everything about the node that placing does not change.
func (r *Rules) static(nodes *fleet.Nodes, i uint32) Verdict {
	if v := r.ofJob(nodes, i); v != OK {
		return v
	}
	if v := r.drivenBy(nodes, i); v != OK {
		return v
	}
	if v := r.ofGroup(nodes, i); v != OK {
		return v
	}
	if v := r.ofVolumes(nodes.Node[i]); v != OK {
		return v
	}
	if r.configs != nil {
		return r.ofConfigs(nodes, i)
	}
	return OK
}

// drivenBy asks for the tasks' drivers.
func (r *Rules) drivenBy(nodes *fleet.Nodes, i uint32) Verdict {
	if r.unknownDriver || nodes.Drivers[i]&r.drivers != r.drivers {
		return MissingDrivers
	}
	for _, name := range r.otherDrivers {
		if !fleet.DriverHealthy(nodes.Node[i], name) {
			return MissingDrivers
		}
	}
	return OK
}

// ofVolumes asks for the group's volumes.
func (r *Rules) ofVolumes(n *model.Node) Verdict {
	for _, v := range r.volumes {
		if !hasVolume(n, v) {
			return MissingVolumes
		}
	}
	return OK
}

// Room is the part of Check that changes as instances are placed: distinct constraints and what is left on the node.
func (r *Rules) Room(n fleet.Num, nodes *fleet.Nodes, use *fleet.Use, i uint32) Verdict {
	for _, d := range r.distinct {
		if !d.allows(n, nodes.Node[i]) {
			return r.reasons.verdict(d.text, false)
		}
	}
	capacity, used := nodes.Capacity(i), use.InUse(i)
	ask := r.Ask.Amount(nodes.PerCore[i])
	if v := fit(&capacity, &used, &ask); v != OK || !r.Ask.Exact() {
		return v
	}
	counted := r.Ask.simple && nodes.Flags[i]&fleet.Simple != 0
	if counted && ask.Ports > nodes.Ports[i]-use.Ports[i] {
		if len(r.Ask.static) == 0 {
			return OutOfPorts
		}
		counted = false // a static port may lie outside of the dynamic range
	}
	if counted && len(r.Ask.devices)+len(r.Ask.static) == 0 {
		return OK
	}
	if why := r.Ask.possible(nodes.Node[i], use.Exact[i], counted); why != "" {
		return r.reasons.verdict(why, true)
	}
	return OK
}

// ofJob asks the job's constraints.
func (r *Rules) ofJob(nodes *fleet.Nodes, i uint32) Verdict {
	v := r.classJob[nodes.Class[i]]
	if v == unasked {
		v = r.first(r.jobClass, nodes.Node[i])
		r.classJob[nodes.Class[i]] = v
	}
	if v != OK || len(r.jobNode) == 0 {
		return v
	}
	return r.first(r.jobNode, nodes.Node[i])
}

// ofGroup asks the group's and tasks' constraints, devices and networks.
func (r *Rules) ofGroup(nodes *fleet.Nodes, i uint32) Verdict {
	class := nodes.Class[i]
	v := r.classGroup[class]
	if v == unasked {
		v = r.askClass(nodes.Node[i])
		r.classGroup[class] = v
	}
	if v != OK {
		return v
	}
	if v := r.first(r.groupNode, nodes.Node[i]); v != OK {
		return v
	}
	if r.uniqueDevices && !hasDevices(nodes.Node[i], r.Ask.devices) {
		return MissingDevices
	}
	if r.network.unique() {
		return r.refusal(r.network.refuses(nodes.Node[i]))
	}
	return OK
}

func (r *Rules) askClass(n *model.Node) Verdict {
	if v := r.first(r.groupClass, n); v != OK {
		return v
	}
	if !r.uniqueDevices && !hasDevices(n, r.Ask.devices) {
		return MissingDevices
	}
	if r.network.unique() {
		return OK
	}
	return r.refusal(r.network.refuses(n))
}

func (r *Rules) refusal(text string) Verdict {
	switch text {
	case "":
		return OK
	case reasonNetwork:
		return MissingNetwork
	}
	return r.reasons.verdict(text, false)
}

// first returns the first condition that does not hold.
func (r *Rules) first(conditions []labelled, n *model.Node) Verdict {
	for i := range conditions {
		if !conditions[i].Holds(n) {
			return r.reasons.verdict(conditions[i].text, false)
		}
	}
	return OK
}

// Count counts an allocation of the job that is on a node (by 1), or no longer is (by -1), for the distinct constraints.
// sameGroup tells whether it is of this group.
func (r *Rules) Count(n fleet.Num, sameGroup bool, by int) {
	node := r.draft.Node(n)
	if node == nil {
		return
	}
	for _, d := range r.distinct {
		if d.wholeJob || sameGroup {
			d.add(n, node, by)
		}
	}
}

// Distinct tells whether the group has distinct constraints, so that Count matters.
func (r *Rules) Distinct() bool { return len(r.distinct) > 0 }

// Place chooses exact numbers for an instance on a node and takes them in the draft. The dimension that is short is
// returned when the node has no room after all.
func (r *Rules) Place(n fleet.Num, rng *rand.Rand) (*model.AllocatedResources, string) {
	nodes, use, i := r.draft.Row(n)
	if !r.Ask.Exact() {
		amount := r.Ask.base
		amount.Ports = 0
		r.draft.TakeAmount(n, amount)
		return r.Ask.template, ""
	}
	out, why := r.Ask.Assign(nodes.Node[i], nodes.PerCore[i], use.Exact[i], rng)
	if why != "" {
		return nil, why
	}
	r.draft.Take(n, out)
	return out, ""
}

func hasVolume(n *model.Node, v *model.VolumeRequest) bool {
	if v.Type != "host" {
		return false
	}
	h := n.HostVolumes[v.Source]
	return h != nil && (v.ReadOnly || !h.ReadOnly)
}
