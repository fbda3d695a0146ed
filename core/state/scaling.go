package state

import "github.com/droverhq/drover/core/model"

// JobScaling is a job's history of scaling.
type JobScaling struct {
	Namespace string
	JobID     string
	Groups    map[string][]*model.ScalingEvent
	Index     uint64
}

func (s *Snapshot) scaling(namespace, id string) *JobScaling {
	return one[*JobScaling](s, TableScaling, byID, namespace, id)
}

// ScalingEvents returns the kept scaling events of a job's groups, newest first.
func (s *Snapshot) ScalingEvents(namespace, id string) map[string][]*model.ScalingEvent {
	if sc := s.scaling(namespace, id); sc != nil {
		return sc.Groups
	}
	return nil
}

// AddScalingEvent remembers that a group was scaled, or that somebody looked at it.
func (tx *Txn) AddScalingEvent(namespace, id, group string, event *model.ScalingEvent) {
	next := &JobScaling{Namespace: namespace, JobID: id, Groups: map[string][]*model.ScalingEvent{}, Index: tx.index}
	if old := tx.scaling(namespace, id); old != nil {
		for name, events := range old.Groups {
			next.Groups[name] = events
		}
	}
	e := *event
	e.CreateIndex = tx.index
	events := append([]*model.ScalingEvent{&e}, next.Groups[group]...)
	next.Groups[group] = events[:min(len(events), model.MaxScalingEvents)]
	tx.insert(TableScaling, next)
}
