package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
)

// stage holds the state a transcript plays on. Its commands:
//
//	job [type=service] [count=3] [groups=a,b] ...  a new version of the job; what is not named stays as it was
//	    [max_parallel=1] [max_surge=n] [canary=n] [auto_promote] [command=x] (destructive) [priority=n] (in place)
//	    [reschedule=none|unlimited|2/1h] [delay=30s] [function=exponential] [max_delay=1h]
//	    [lost_after=1h] [replace=false] [reconcile=x] [stop_after=1m] [kill=5s]
//	stop-job                                       the job is stopped
//	nodes a b c                                    ready nodes
//	node a down|ready|disconnected|draining|ineligible|gone|unfit
//	set g[0]|a1 [client=failed] [ago=10s] [ran=1h] [desired=stop] [migrate] [no-place] [reschedule] [force] [healthy=true|false]
//	deployment paused|failed|promoted|running      the latest deployment
//	healthy                                        every running allocation of the latest deployment is healthy
//	pass 30s                                       time
//	eval x3                                        the evaluation that comes next is x3
//	reconcile                                      prints what to do
//	commit                                         reconcile, and everything is done
//	allocs                                         prints the allocations
type stage struct {
	t        *testing.T
	now      time.Time
	job      *model.Job
	versions []*model.Job
	nodes    map[string]*model.Node
	order    []string
	unfit    map[string]bool
	allocs   []*model.Allocation
	deploy   *model.Deployment
	evalID   string
	ids      int
	allocIDs int
	spec     args
	robin    int
}

func newStage(t *testing.T) *stage {
	return &stage{
		t: t, now: time.Unix(1_700_000_000, 0), nodes: map[string]*model.Node{}, unfit: map[string]bool{}, evalID: "x0",
		spec: args{},
	}
}

func (s *stage) do(line string) string {
	words := strings.Fields(line)
	rest := words[1:]
	switch words[0] {
	case "job":
		s.newVersion(parseArgs(rest))
	case "stop-job":
		j := *s.job
		j.Stop = true
		s.job = &j
	case "nodes":
		for _, id := range rest {
			s.setNode(id, "ready")
		}
	case "node":
		s.setNode(rest[0], rest[1])
	case "set":
		s.set(s.find(rest[0]), parseArgs(rest[1:]))
	case "deployment":
		s.setDeployment(rest[0])
	case "healthy":
		for _, a := range s.allocs {
			if !a.Terminal() && a.DeploymentID == s.deploy.ID {
				s.setHealth(a, true)
			}
		}
	case "pass":
		s.now = s.now.Add(parseArgs([]string{"d=" + rest[0]}).duration("d", 0))
	case "eval":
		s.evalID = rest[0]
	case "reconcile":
		return printResult(s, s.reconcile())
	case "commit":
		res := s.reconcile()
		text := printResult(s, res)
		s.commit(res)
		return text
	case "allocs":
		return s.list()
	default:
		s.t.Fatalf("unknown command %q", line)
	}
	return ""
}

func (s *stage) newVersion(a args) {
	for k, v := range a {
		s.spec[k] = v
	}
	a = s.spec
	typ := a["type"]
	if typ == "" {
		typ = model.JobTypeService
	}
	j := &model.Job{
		ID: "web", Name: "web", Namespace: "default", Type: typ, Priority: a.int("priority", 50), CreateIndex: 1,
		Version: uint64(len(s.versions)), JobModifyIndex: uint64(len(s.versions) + 1),
	}
	names := []string{"g"}
	if a["groups"] != "" {
		names = strings.Split(a["groups"], ",")
	}
	for _, name := range names {
		j.TaskGroups = append(j.TaskGroups, s.group(name, a, typ))
	}
	s.job = j
	s.versions = append(s.versions, j)
}

func (s *stage) group(name string, a args, typ string) *model.TaskGroup {
	g := &model.TaskGroup{Name: name, Count: a.int("count", 1), Tasks: []*model.Task{{
		Name: "t", Driver: "run", KillTimeout: a.duration("kill", 5*time.Second),
		Config: map[string]any{"command": a["command"]},
	}}}
	if typ == model.JobTypeService || typ == model.JobTypeSystem {
		g.Update = &model.Update{
			MaxParallel: a.int("max_parallel", 1), Canary: a.int("canary", 0), AutoPromote: a.has("auto_promote"),
			ProgressDeadline: 10 * time.Minute, MaxSurge: a.int("max_surge", 0),
		}
	}
	g.ReschedulePolicy = &model.ReschedulePolicy{
		Delay: a.duration("delay", 30*time.Second), MaxDelay: a.duration("max_delay", time.Hour),
		DelayFunction: "exponential", Unlimited: typ == model.JobTypeService,
	}
	if f := a["function"]; f != "" {
		g.ReschedulePolicy.DelayFunction = f
	}
	switch r := a["reschedule"]; {
	case r == "none":
		g.ReschedulePolicy.Unlimited = false
	case strings.Contains(r, "/"):
		attempts, interval, _ := strings.Cut(r, "/")
		g.ReschedulePolicy.Unlimited = false
		g.ReschedulePolicy.Attempts = args{"n": attempts}.int("n", 0)
		g.ReschedulePolicy.Interval = args{"d": interval}.duration("d", 0)
	case r == "" && typ == model.JobTypeBatch:
		g.ReschedulePolicy.Attempts, g.ReschedulePolicy.Interval = 1, 24*time.Hour
		g.ReschedulePolicy.DelayFunction = "constant"
	}
	if a.has("lost_after") || a.has("stop_after") {
		g.Disconnect = &model.Disconnect{
			LostAfter: a.duration("lost_after", 0), StopOnClientAfter: a.duration("stop_after", 0),
			Replace: a["replace"] != "false", Reconcile: a["reconcile"],
		}
	}
	return g
}

func (s *stage) setNode(id, status string) {
	if s.nodes[id] == nil && !slices.Contains(s.order, id) {
		s.order = append(s.order, id)
	}
	n := &model.Node{ID: id, Status: model.NodeStatusReady, SchedulingEligibility: model.NodeEligible}
	s.nodes[id] = n
	s.unfit[id] = false
	switch status {
	case "ready":
	case "draining":
		n.DrainStrategy = &model.DrainStrategy{}
		n.SchedulingEligibility = model.NodeIneligible
	case "ineligible":
		n.SchedulingEligibility = model.NodeIneligible
	case "gone":
		delete(s.nodes, id)
	case "unfit":
		s.unfit[id] = true
	default:
		n.Status = status
	}
}

// find returns an allocation by ID, or the newest live one (else the newest) of a name.
func (s *stage) find(name string) *model.Allocation {
	var found *model.Allocation
	for _, a := range s.allocs {
		if a.ID == name {
			return a
		}
		if a.Name == "web."+name && (found == nil || found.Terminal() || !a.Terminal()) {
			found = a
		}
	}
	if found == nil {
		s.t.Fatalf("no allocation %q", name)
	}
	return found
}

func (s *stage) set(a *model.Allocation, set args) {
	if v, ok := set["client"]; ok {
		if a.ClientStatus == model.AllocClientUnknown || v == model.AllocClientUnknown {
			a.AllocStates = append(a.AllocStates, model.AllocState{Field: "ClientStatus", Value: v, Time: s.now})
		}
		a.ClientStatus = v
		ended := s.now.Add(-set.duration("ago", 0))
		state := &model.TaskState{State: model.TaskRunning, StartedAt: ended.Add(-set.duration("ran", time.Minute))}
		if a.ClientTerminal() {
			state.State, state.FinishedAt, state.Failed = model.TaskDead, ended, v == model.AllocClientFailed
		}
		a.TaskStates = map[string]*model.TaskState{"t": state}
	}
	if v, ok := set["desired"]; ok {
		a.DesiredStatus = v
	}
	if v, ok := set["healthy"]; ok {
		s.setHealth(a, v == "true")
	}
	t := &a.DesiredTransition
	for word, flag := range map[string]**bool{
		"migrate": &t.Migrate, "no-place": &t.MigrateDisablePlacement, "reschedule": &t.Reschedule, "force": &t.ForceReschedule,
	} {
		if set.has(word) {
			*flag = ptr(true)
		}
	}
}

func (s *stage) setHealth(a *model.Allocation, healthy bool) {
	if a.DeploymentStatus == nil {
		a.DeploymentStatus = &model.AllocDeploymentStatus{}
	}
	a.DeploymentStatus.Healthy = ptr(healthy)
}

func (s *stage) setDeployment(status string) {
	if status == "promoted" {
		for _, g := range s.deploy.TaskGroups {
			g.Promoted = true
		}
		return
	}
	s.deploy.Status = status
}

func (s *stage) newID() string {
	s.ids++
	return fmt.Sprintf("x%d", s.ids)
}

func (s *stage) reconcile() *Result {
	in := Input{
		Eval: &model.Evaluation{ID: s.evalID, Namespace: "default", JobID: "web", Type: s.job.Type, Priority: 50},
		Job:  s.job, Allocs: slices.Clone(s.allocs), Deployment: s.deploy,
		Node: func(id string) *model.Node { return s.nodes[id] },
		Version: func(v uint64) *model.Job {
			for _, j := range s.versions {
				if j.Version == v {
					return j
				}
			}
			return nil
		},
		Fits: func(a *model.Allocation, g *model.TaskGroup) bool { return !s.unfit[a.NodeID] },
		Now:  s.now, NewID: s.newID,
	}
	s.count()
	if s.job.Type == model.JobTypeSystem || s.job.Type == model.JobTypeSysBatch {
		nodes := Nodes{Suits: func(id string, g *model.TaskGroup) bool { return !s.unfit[id] }}
		for _, id := range s.order {
			if n := s.nodes[id]; n != nil && n.Ready() {
				nodes.Ready = append(nodes.Ready, n)
			}
		}
		return System(in, nodes)
	}
	return Generic(in)
}

// count brings the deployment's counters in line with the allocations.
func (s *stage) count() {
	if s.deploy == nil {
		return
	}
	for name, g := range s.deploy.TaskGroups {
		g.HealthyAllocs = 0
		for _, a := range s.allocs {
			if a.DeploymentID == s.deploy.ID && a.TaskGroup == name && a.DeploymentStatus != nil && is(a.DeploymentStatus.Healthy) {
				g.HealthyAllocs++
			}
		}
	}
}

// commit does what the result says, at once: what is stopped has ended, what is placed runs.
func (s *stage) commit(res *Result) {
	for _, u := range res.DeploymentUpdates {
		if s.deploy != nil && s.deploy.ID == u.DeploymentID {
			if u.Status == model.DeploymentSuccessful { // as the servers mark the version
				stable := *s.versions[s.deploy.JobVersion]
				stable.Stable = true
				s.versions[s.deploy.JobVersion] = &stable
			}
			s.deploy.Status = u.Status
		}
	}
	if res.Deployment != nil {
		s.deploy = res.Deployment
	}
	for i := range res.Stop {
		s.end(&res.Stop[i])
	}
	for _, c := range res.Update {
		*s.find(c.ID) = *c
	}
	for _, a := range res.Adapt {
		a = s.find(a.ID)
		a.JobVersion = s.job.Version
		if s.deploy.Active() && a.DeploymentID != s.deploy.ID {
			a.DeploymentID, a.DeploymentStatus = s.deploy.ID, nil
		}
	}
	for _, p := range res.Place {
		s.place(p)
	}
}

func (s *stage) end(st *Stop) {
	a := s.find(st.Alloc.ID)
	a.DesiredStatus, a.DesiredDescription = model.AllocDesiredStop, st.Description
	switch {
	case st.ClientStatus != "":
		a.ClientStatus = st.ClientStatus
		a.AllocStates = append(a.AllocStates, model.AllocState{Field: "ClientStatus", Value: st.ClientStatus, Time: s.now})
	case !a.ClientTerminal():
		a.ClientStatus = model.AllocClientComplete
	}
	if st.FollowupEvalID != "" {
		a.FollowupEvalID = st.FollowupEvalID
	}
}

func (s *stage) place(p Placement) {
	s.allocIDs++
	a := &model.Allocation{
		ID: fmt.Sprintf("a%d", s.allocIDs), Namespace: "default", Name: p.Name, JobID: "web", JobVersion: p.Job.Version,
		TaskGroup: p.Group.Name, DesiredStatus: model.AllocDesiredRun, CreateIndex: uint64(s.allocIDs), NodeID: p.NodeID,
	}
	s.set(a, args{"client": "running"})
	if s.deploy.Active() && s.deploy.JobVersion == p.Job.Version && s.deploy.TaskGroups[a.TaskGroup] != nil {
		a.DeploymentID = s.deploy.ID
		if p.Canary {
			a.DeploymentStatus = &model.AllocDeploymentStatus{Canary: true}
			g := s.deploy.TaskGroups[a.TaskGroup]
			g.PlacedCanaries = append(g.PlacedCanaries, a.ID)
		}
	}
	if p.Previous != nil {
		a.PreviousAllocation = p.Previous.ID
		prev := s.find(p.Previous.ID)
		prev.NextAllocation = a.ID
		if p.Reschedule {
			a.RescheduleTracker = TrackerAfter(prev, p.Group.ReschedulePolicy, s.now)
		}
	}
	if p.Replaces != nil {
		s.end(p.Replaces)
	}
	for a.NodeID == "" {
		id := s.order[s.robin%len(s.order)]
		s.robin++
		if n := s.nodes[id]; n != nil && n.Ready() && !s.unfit[id] {
			a.NodeID = id
		}
	}
	s.allocs = append(s.allocs, a)
}

func (s *stage) groupsSeen() []string {
	var out []string
	for _, j := range s.versions {
		for _, g := range j.TaskGroups {
			if !slices.Contains(out, g.Name) {
				out = append(out, g.Name)
			}
		}
	}
	return out
}

func (s *stage) list() string {
	var b strings.Builder
	for _, a := range s.allocs {
		fmt.Fprintf(&b, "%s %s v%d on %s %s/%s", a.ID, strings.TrimPrefix(a.Name, "web."), a.JobVersion, a.NodeID, a.DesiredStatus, a.ClientStatus)
		if isCanary(a) {
			b.WriteString(" canary")
		}
		b.WriteString("\n")
	}
	return b.String()
}
