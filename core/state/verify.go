package state

import (
	"fmt"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// Verify checks that everything the store counts or derives as rows change is what the rows say. Tests call it after
// every entry; it reads the whole state.
func (s *Store) Verify() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := &Snapshot{txn: s.db.Txn(false), allocs: s.allocs, index: s.index}
	if err := verifyJobs(snap); err != nil {
		return err
	}
	if err := verifyAllocs(snap); err != nil {
		return err
	}
	return verifyFleet(snap, s.fleet.Snapshot())
}

func verifyJobs(snap *Snapshot) error {
	counts := map[model.JobID]*jobCounts{}
	for _, c := range recount(snap) {
		counts[model.JobID{Namespace: c.Namespace, ID: c.JobID}] = c
	}
	for row := range each[*jobCounts](snap, tableCounts, byID) {
		key := model.JobID{Namespace: row.Namespace, ID: row.JobID}
		want := counts[key]
		if want == nil {
			return fmt.Errorf("there are counts of job %s, which does not exist", row.JobID)
		}
		if *row != *want {
			return fmt.Errorf("job %s is counted as %+v, its rows say %+v", row.JobID, *row, *want)
		}
	}
	for j := range snap.Jobs(AllNamespaces, "") {
		if want := jobStatus(j, counts[j.Key()]); j.Status != want {
			return fmt.Errorf("job %s has status %s, its rows say %s", j.ID, j.Status, want)
		}
		if snap.JobVersion(j.Namespace, j.ID, j.Version) != j || one[*model.Job](snap, TableJobVersions, byID, j.Namespace, j.ID, number(j.CreateIndex), number(j.Version)) != j {
			return fmt.Errorf("job %s is not the newest of its versions", j.ID)
		}
		if err := verifySummary(snap, j); err != nil {
			return err
		}
	}
	return nil
}

func verifySummary(snap *Snapshot, j *model.Job) error {
	sum := snap.JobSummary(j.Namespace, j.ID)
	if sum == nil {
		return fmt.Errorf("job %s has no summary", j.ID)
	}
	live := map[string]model.TaskGroupSummary{}
	for _, a := range snap.AllocsByJob(j.Namespace, j.ID) {
		if a.CreateIndex < j.CreateIndex && a.ClientTerminal() {
			continue // of an earlier job of that name; see adopt
		}
		g := live[a.TaskGroup]
		if n := bucket(&g, a.ClientStatus); n != nil {
			*n++
		}
		live[a.TaskGroup] = g
	}
	for name, g := range sum.Summary {
		l := live[name]
		// What was collected stays counted, so what has ended may be more than there is.
		if g.Complete < l.Complete || g.Failed < l.Failed || g.Lost < l.Lost || g.Running < l.Running || g.Starting < l.Starting || g.Unknown < l.Unknown {
			return fmt.Errorf("group %s of job %s is summarized as %+v, its allocations are %+v", name, j.ID, g, l)
		}
	}
	if sum.Children == nil {
		return nil
	}
	var children model.JobChildrenSummary
	for child := range snap.JobChildren(j.Namespace, j.ID) {
		switch child.Status {
		case model.JobStatusPending:
			children.Pending++
		case model.JobStatusRunning:
			children.Running++
		case model.JobStatusDead:
			children.Dead++
		}
	}
	if *sum.Children != children {
		return fmt.Errorf("the children of job %s are summarized as %+v and are %+v", j.ID, *sum.Children, children)
	}
	return nil
}

func verifyAllocs(snap *Snapshot) error {
	type counters struct{ placed, healthy, unhealthy int }
	byGroup := map[[2]string]counters{}
	for a := range snap.Allocs(AllNamespaces, "") {
		if a.Job != nil {
			return fmt.Errorf("allocation %s holds its job", a.ID)
		}
		if snap.JobOf(a) == nil {
			return fmt.Errorf("version %d of job %s, which allocation %s runs, is gone", a.JobVersion, a.JobID, a.ID)
		}
		if a.DeploymentID == "" {
			continue
		}
		key := [2]string{a.DeploymentID, a.TaskGroup}
		c := byGroup[key]
		c.placed++
		if h := healthOf(a); h != nil && *h {
			c.healthy++
		} else if h != nil {
			c.unhealthy++
		}
		byGroup[key] = c
	}
	for d := range snap.Deployments(AllNamespaces, "") {
		for name, g := range d.TaskGroups {
			// Allocations may have been collected or have joined a later roll-out since.
			c := byGroup[[2]string{d.ID, name}]
			if g.PlacedAllocs < c.placed || g.HealthyAllocs < c.healthy || g.UnhealthyAllocs < c.unhealthy {
				return fmt.Errorf("group %s of deployment %s counts %+v, its allocations are %+v", name, d.ID, g, c)
			}
		}
	}
	return nil
}

func verifyFleet(snap *Snapshot, have *fleet.Snapshot) error {
	table := fleet.New()
	nodes := 0
	for n := range snap.Nodes() {
		table.UpsertNode(n)
		nodes++
	}
	for a := range snap.Allocs(AllNamespaces, "") {
		table.ApplyAlloc(nil, a)
	}
	want := table.Snapshot()
	if have.Count() != nodes {
		return fmt.Errorf("the fleet has %d nodes, the state %d", have.Count(), nodes)
	}
	for num, n := range have.All() {
		other, ok := want.Number(n.ID)
		if !ok || snap.Node(n.ID) != n {
			return fmt.Errorf("node %s of the fleet is not the state's", n.ID)
		}
		if have.InUse(num) != want.InUse(other) {
			return fmt.Errorf("node %s uses %+v, its allocations say %+v", n.ID, have.InUse(num), want.InUse(other))
		}
	}
	return nil
}
