package state

import (
	"iter"

	"github.com/google/uuid"

	"github.com/droverhq/drover/core/model"
)

// ScalingPolicies lists the scaling blocks of the jobs of a namespace (or AllNamespaces) that are not stopped, each with
// its ID, the group it is for and when it changed.
func (s *Snapshot) ScalingPolicies(namespace string) iter.Seq[*model.Scaling] {
	return func(yield func(*model.Scaling) bool) {
		for j := range s.Jobs(namespace, "") {
			if j.Stopped() {
				continue
			}
			for _, g := range j.TaskGroups {
				if g.Scaling != nil && !yield(scalingPolicy(j, g)) {
					return
				}
			}
		}
	}
}

// scalingPolicy completes a group's block. The ID follows from job and group, so that it stays over the job's versions.
func scalingPolicy(j *model.Job, g *model.TaskGroup) *model.Scaling {
	p := *g.Scaling
	p.ID = uuid.NewSHA1(uuid.NameSpaceURL, []byte("scaling\x00"+j.Namespace+"\x00"+j.ID+"\x00"+g.Name)).String()
	p.Target = map[string]string{"Namespace": j.Namespace, "Job": j.ID, "Group": g.Name}
	p.CreateIndex, p.ModifyIndex = j.CreateIndex, j.JobModifyIndex
	return &p
}
