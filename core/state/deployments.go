package state

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/droverhq/drover/core/model"
)

// Deployment returns a roll-out, nil when there is none with that full ID.
func (s *Snapshot) Deployment(id string) *model.Deployment {
	return one[*model.Deployment](s, TableDeployments, byID, id)
}

// Deployments lists the roll-outs of a namespace (or AllNamespaces) whose ID begins with idPrefix.
func (s *Snapshot) Deployments(namespace, idPrefix string) iter.Seq[*model.Deployment] {
	all := each[*model.Deployment](s, TableDeployments, byID+prefix, idPrefix)
	if namespace == AllNamespaces {
		return all
	}
	return filter(all, func(d *model.Deployment) bool { return d.Namespace == namespace })
}

// DeploymentsByJob lists a job's roll-outs.
func (s *Snapshot) DeploymentsByJob(namespace, id string) iter.Seq[*model.Deployment] {
	return each[*model.Deployment](s, TableDeployments, byJob, namespace, id)
}

// LatestDeployment returns a job's newest roll-out.
func (s *Snapshot) LatestDeployment(namespace, jobID string) *model.Deployment {
	var last *model.Deployment
	for d := range s.DeploymentsByJob(namespace, jobID) {
		if last == nil || d.CreateIndex > last.CreateIndex {
			last = d
		}
	}
	return last
}

// changeDeployment replaces a roll-out by what change makes of a copy with group states of its own.
func (tx *Txn) changeDeployment(id string, change func(*model.Deployment)) *model.Deployment {
	old := tx.Deployment(id)
	if old == nil {
		return nil
	}
	d := *old
	d.TaskGroups = cloneGroups(old.TaskGroups)
	change(&d)
	tx.putDeployment(old, &d)
	return &d
}

func cloneGroups(groups map[string]*model.DeploymentState) map[string]*model.DeploymentState {
	out := maps.Clone(groups)
	for name, g := range out {
		c := *g
		c.PlacedCanaries = slices.Clone(g.PlacedCanaries)
		out[name] = &c
	}
	return out
}

func (tx *Txn) putDeployment(old, d *model.Deployment) {
	d.ModifyIndex, d.ModifyTime = tx.index, tx.now.UnixNano()
	if old == nil {
		d.CreateIndex, d.CreateTime = tx.index, tx.now.UnixNano()
	}
	if was, is := old.Active(), d.Active(); was != is {
		c := tx.count(model.JobID{Namespace: d.Namespace, ID: d.JobID})
		if is {
			c.Deployments++
		} else {
			c.Deployments--
		}
	}
	tx.insert(TableDeployments, d)
	tx.commit.Deployments = append(tx.commit.Deployments, d.ID)
	tx.event(Event{
		Topic: TopicDeployment, Key: d.ID, Namespace: d.Namespace,
		FilterKeys: present(d.JobID), Payload: DeploymentPayload{Deployment: d},
	})
}

// upsertPlanned stores the roll-out a plan brings. One that exists keeps what was counted since the plan was made.
func (tx *Txn) upsertPlanned(planned *model.Deployment) {
	d := *planned
	d.TaskGroups = cloneGroups(planned.TaskGroups)
	old := tx.Deployment(d.ID)
	if old == nil {
		for _, g := range d.TaskGroups {
			tx.requireProgress(g)
		}
		tx.putDeployment(nil, &d)
		return
	}
	d.CreateIndex, d.CreateTime = old.CreateIndex, old.CreateTime
	if !old.Active() {
		d.Status, d.StatusDescription = old.Status, old.StatusDescription
	}
	for name, g := range d.TaskGroups {
		if o := old.TaskGroups[name]; o != nil {
			desired, canaries := g.DesiredTotal, g.DesiredCanaries
			*g = *o
			g.DesiredTotal, g.DesiredCanaries = desired, canaries
			g.PlacedCanaries = slices.Clone(o.PlacedCanaries)
		}
	}
	tx.putDeployment(old, &d)
}

// requireProgress gives a group its full time to show an instance that is healthy: at the start of a roll-out, when its
// first instance is placed, and when it goes on after it waited for a person.
func (tx *Txn) requireProgress(g *model.DeploymentState) {
	if g.ProgressDeadline > 0 {
		g.RequireProgressBy = tx.now.Add(g.ProgressDeadline)
	}
}

// UpdateDeploymentStatus ends, pauses or resumes a roll-out. Success makes its version of the job a stable one. A
// roll-out that has ended stays as it is: the result is then nil.
func (tx *Txn) UpdateDeploymentStatus(u *model.DeploymentStatusUpdate) *model.Deployment {
	if old := tx.Deployment(u.DeploymentID); old == nil || !old.Active() {
		return nil
	}
	d := tx.changeDeployment(u.DeploymentID, func(d *model.Deployment) {
		if d.Status == model.DeploymentPaused && u.Status == model.DeploymentRunning {
			for _, g := range d.TaskGroups {
				tx.requireProgress(g)
			}
		}
		d.Status, d.StatusDescription = u.Status, u.StatusDescription
	})
	if d.Status == model.DeploymentSuccessful {
		if j := tx.Job(d.Namespace, d.JobID); j != nil && j.CreateIndex == d.JobCreateIndex {
			tx.SetJobStable(d.Namespace, d.JobID, d.JobVersion, true)
		}
	}
	return d
}

// PromoteDeployment lets canaries take over in the groups named, in all with none named.
func (tx *Txn) PromoteDeployment(id string, groups []string) *model.Deployment {
	d := tx.changeDeployment(id, func(d *model.Deployment) {
		left := false
		for name, g := range d.TaskGroups {
			if g.DesiredCanaries == 0 || g.Promoted {
				continue
			}
			if len(groups) > 0 && !slices.Contains(groups, name) {
				left = true
				continue
			}
			g.Promoted = true
			tx.requireProgress(g)
		}
		if !left {
			d.StatusDescription = "Deployment is running"
		}
	})
	if d == nil {
		return nil
	}
	for _, old := range tx.AllocsByDeployment(id) {
		g := d.TaskGroups[old.TaskGroup]
		if g == nil || !g.Promoted || old.DeploymentStatus == nil || !old.DeploymentStatus.Canary {
			continue
		}
		a := copyAlloc(old)
		a.DeploymentStatus.Canary = false
		a.DeploymentStatus.ModifyIndex = tx.index
		tx.putAlloc(old, a, true)
	}
	return d
}

// SetAllocHealth records health that a user or the deployment watcher decided.
func (tx *Txn) SetAllocHealth(healthy, unhealthy []string) {
	set := func(ids []string, ok bool) {
		for _, id := range ids {
			if old := tx.Alloc(id); old != nil {
				a := copyAlloc(old)
				tx.setHealth(old, a, ok, tx.now)
				tx.putAlloc(old, a, true)
			}
		}
	}
	set(healthy, true)
	set(unhealthy, false)
}

// countPlaced counts an allocation that joined a roll-out.
func (tx *Txn) countPlaced(a *model.Allocation) {
	if d := tx.Deployment(a.DeploymentID); d == nil || d.TaskGroups[a.TaskGroup] == nil {
		return
	}
	tx.changeDeployment(a.DeploymentID, func(d *model.Deployment) {
		g := d.TaskGroups[a.TaskGroup]
		if g.PlacedAllocs == 0 {
			tx.requireProgress(g)
		}
		g.PlacedAllocs++
		if a.DeploymentStatus != nil && a.DeploymentStatus.Canary && !slices.Contains(g.PlacedCanaries, a.ID) {
			g.PlacedCanaries = append(g.PlacedCanaries, a.ID)
		}
	})
}

// countHealth moves an allocation between the counters of its roll-out and pushes the deadline for progress.
func (tx *Txn) countHealth(a *model.Allocation, was *bool, healthy bool, at time.Time) {
	if d := tx.Deployment(a.DeploymentID); d == nil || d.TaskGroups[a.TaskGroup] == nil {
		return
	}
	tx.changeDeployment(a.DeploymentID, func(d *model.Deployment) {
		g := d.TaskGroups[a.TaskGroup]
		if was != nil && *was {
			g.HealthyAllocs--
		} else if was != nil {
			g.UnhealthyAllocs--
		}
		if !healthy {
			g.UnhealthyAllocs++
			return
		}
		g.HealthyAllocs++
		if by := at.Add(g.ProgressDeadline); g.ProgressDeadline > 0 && by.After(g.RequireProgressBy) {
			g.RequireProgressBy = by
		}
	})
}

// DeleteDeployment forgets a roll-out.
func (tx *Txn) DeleteDeployment(id string) bool {
	d := tx.Deployment(id)
	if d == nil {
		return false
	}
	tx.remove(TableDeployments, d)
	if d.Active() {
		tx.count(model.JobID{Namespace: d.Namespace, ID: d.JobID}).Deployments--
	}
	tx.commit.Deployments = append(tx.commit.Deployments, id)
	return true
}
