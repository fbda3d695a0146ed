package api

import (
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// jobActions lists the actions of a job's newest version.
func (a *API) jobActions(rq *request) (any, error) {
	type action struct {
		Name          string
		Command       string
		Args          []string
		TaskName      string
		TaskGroupName string
	}
	return a.read(rq, []state.Table{state.TableJobs}, func(s *state.Snapshot) (any, error) {
		j := s.Job(rq.Namespace, rq.arg("id"))
		if j == nil {
			return nil, errJobNotFound
		}
		out := []action{}
		for _, g := range j.TaskGroups {
			for _, t := range g.Tasks {
				for _, ac := range t.Actions {
					out = append(out, action{ac.Name, ac.Command, ac.Args, t.Name, g.Name})
				}
			}
		}
		return out, nil
	})
}

// jobAction runs an action of a job over a websocket, as an exec session does a command.
func (a *API) jobAction(rq *request) (any, error) {
	setup, err := findAction(a.srv.State().Snapshot(), rq.Namespace, rq.arg("id"), actionWish{
		action: rq.str("action"), group: rq.str("group"), task: rq.str("task"), alloc: rq.str("allocID"),
	})
	if err != nil {
		return nil, err
	}
	return a.session(rq, setup)
}

// actionWish is what a caller says about the action: its name, and where it runs as far as that matters to them.
type actionWish struct{ action, group, task, alloc string }

// findAction picks the command and the allocation to run it in. The action is the one that the allocation's own version
// of the job has. Without an allocation the oldest that runs is taken.
func findAction(s *state.Snapshot, namespace, id string, w actionWish) (*rpc.ExecSetup, error) {
	if w.action == "" {
		return nil, rpc.Errorf(rpc.ErrInvalid, "must provide action name")
	}
	if s.Job(namespace, id) == nil {
		return nil, errJobNotFound
	}
	var allocs []*model.Allocation
	if w.alloc == "" {
		allocs = s.AllocsByJob(namespace, id)
	} else if al := s.Alloc(w.alloc); al != nil && al.Namespace == namespace && al.JobID == id {
		allocs = []*model.Allocation{al}
	} else {
		return nil, rpc.Errorf(rpc.ErrNotFound, "job %q has no allocation %q", id, w.alloc)
	}
	var best *model.Allocation
	var setup *rpc.ExecSetup
	known := false
	for _, al := range allocs {
		task, command := actionOf(s.JobOf(al), al, w)
		known = known || command != nil
		if command == nil || !runs(al, task) || best != nil && best.CreateIndex <= al.CreateIndex {
			continue
		}
		best, setup = al, &rpc.ExecSetup{AllocID: al.ID, Task: task, Command: command}
	}
	switch {
	case setup != nil:
		return setup, nil
	case known:
		return nil, rpc.Errorf(rpc.ErrInvalid, "action %q of job %q: no task that has it is running", w.action, id)
	}
	return nil, rpc.Errorf(rpc.ErrNotFound, "job %q has no action %q%s", id, w.action, place(w))
}

func place(w actionWish) (text string) {
	if w.group != "" {
		text += " in group \"" + w.group + "\""
	}
	if w.task != "" {
		text += " in task \"" + w.task + "\""
	}
	return text
}

// actionOf returns the first task of the allocation's group that has the action, and its command; nil when none has it.
func actionOf(j *model.Job, al *model.Allocation, w actionWish) (task string, command []string) {
	if j == nil || w.group != "" && w.group != al.TaskGroup {
		return "", nil
	}
	g := j.Group(al.TaskGroup)
	if g == nil {
		return "", nil
	}
	for _, t := range g.Tasks {
		if w.task != "" && w.task != t.Name {
			continue
		}
		for _, ac := range t.Actions {
			if ac.Name == w.action {
				return t.Name, append([]string{ac.Command}, ac.Args...)
			}
		}
	}
	return "", nil
}

func runs(al *model.Allocation, task string) bool {
	st := al.TaskStates[task]
	return al.ClientStatus == model.AllocClientRunning && st != nil && st.State == model.TaskRunning
}
