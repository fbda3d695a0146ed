package reconcile

import (
	"time"

	"github.com/droverhq/drover/core/model"
)

// disconnect marks what runs on a node that has just been cut off as unknown and sees to it that it is looked at again
// when it is to be given up.
func (r *generic) disconnect(g *model.TaskGroup, s *sets) {
	if len(s.disconnecting) == 0 {
		return
	}
	markUnknown(r.Input, r.res, s.disconnecting, g.Disconnect.LostAfter)
	r.res.desired(g.Name).Disconnect += uint64(len(s.disconnecting))
	if !g.Disconnect.Replace {
		s.keep = append(s.keep, s.disconnecting...)
		s.disconnecting = nil
		byIndex(s.keep)
	}
}

// markUnknown makes one evaluation for the end of the wait and names it in every allocation.
func markUnknown(in *Input, res *Result, list []*model.Allocation, lostAfter time.Duration) {
	e := in.followUp(res, model.TriggerDisconnectTimeout, "", in.Now.Add(lostAfter))
	for _, a := range list {
		c := *a
		c.ClientStatus, c.ClientDescription = model.AllocClientUnknown, Unknown
		c.FollowupEvalID = e.ID
		c.AllocStates = append(append([]model.AllocState(nil), a.AllocStates...), model.AllocState{
			Field: "ClientStatus", Value: model.AllocClientUnknown, Time: in.Now,
		})
		res.Update = append(res.Update, &c)
	}
}

// reconnect decides between an allocation that came back and the one that was placed for it meanwhile.
func (r *generic) reconnect(g *model.TaskGroup, s *sets) {
	successor := map[string]*model.Allocation{}
	for _, list := range [][]*model.Allocation{s.keep, s.migrate} {
		for _, a := range list {
			if a.PreviousAllocation != "" && !a.Terminal() {
				successor[a.PreviousAllocation] = a
			}
		}
	}
	losers := map[string]bool{}
	for _, a := range s.keep {
		other := successor[a.ID]
		if other == nil || a.Terminal() || a.ClientStatus == model.AllocClientUnknown || !wasUnknown(a) || losers[a.ID] {
			continue
		}
		loser := other
		if !keepsOriginal(g, a, other) {
			loser = a
		}
		losers[loser.ID] = true
		r.stop(g.Name, loser, ReconnectedAlloc, "")
		r.res.desired(g.Name).Reconnect++
	}
	s.keep, s.migrate = without(s.keep, losers), without(s.migrate, losers)
}

func wasUnknown(a *model.Allocation) bool {
	for _, s := range a.AllocStates {
		if s.Value == model.AllocClientUnknown {
			return true
		}
	}
	return false
}

// keepsOriginal applies the group's choice. A replacement of a newer version always wins.
func keepsOriginal(g *model.TaskGroup, original, replacement *model.Allocation) bool {
	if replacement.JobVersion > original.JobVersion {
		return false
	}
	choice := ""
	if g.Disconnect != nil {
		choice = g.Disconnect.Reconcile
	}
	switch choice {
	case "keep_original":
		return true
	case "keep_replacement":
		return false
	case "longest_running":
		return !mainStart(g, replacement).Before(mainStart(g, original))
	}
	return replacement.ClientStatus != model.AllocClientRunning || score(original) >= score(replacement)
}

// mainStart is when the leader, or else the oldest main task, started; far in the future when it has not.
func mainStart(g *model.TaskGroup, a *model.Allocation) time.Time {
	oldest := time.Unix(1<<40, 0)
	for _, t := range g.Tasks {
		state := a.TaskStates[t.Name]
		if t.Lifecycle != nil || state == nil || state.StartedAt.IsZero() {
			continue
		}
		if t.Leader {
			return state.StartedAt
		}
		if state.StartedAt.Before(oldest) {
			oldest = state.StartedAt
		}
	}
	return oldest
}

// score is the normalized score with which an allocation was placed.
func score(a *model.Allocation) float64 {
	if a.Metrics == nil {
		return 0
	}
	for _, s := range a.Metrics.ScoreMetaData {
		if s.NodeID == a.NodeID {
			return s.NormScore
		}
	}
	return 0
}
