package lifecycle

import "github.com/droverhq/drover/core/model"

// Descriptions of client statuses.
const (
	descFailed   = "Failed tasks"
	descRunning  = "Tasks are running"
	descPending  = "No tasks have started"
	descComplete = "All tasks have completed"
)

// ClientStatus derives an allocation's status. A failure shows only when everything but poststop tasks has ended, so
// that the servers do not give away what still runs; between the end of the main tasks and the start of a poststop task
// the allocation counts as running.
func ClientStatus(tasks []Task, s State, status map[string]Status) (clientStatus, description string) {
	v := view{tasks, status}
	over := v.all(notPoststop, v.dead)
	failed := v.any(func(t Task) bool { return v.dead(t) && status[t.Name].Failed })
	running := v.any(func(t Task) bool { return v.state(t) == model.TaskRunning })
	pending := v.any(func(t Task) bool { return v.state(t) == model.TaskPending })
	switch {
	case failed && over:
		return model.AllocClientFailed, descFailed
	case running, over && pending && s.Phase >= Main:
		return model.AllocClientRunning, descRunning
	case pending:
		return model.AllocClientPending, descPending
	}
	return model.AllocClientComplete, descComplete
}
