package conformance

import (
	"maps"

	"github.com/droverhq/drover/sdk/schema"
)

// makeUp fills in what the config leaves out, if the driver's tasks are commands.
func (s *session) makeUp() {
	c := &s.config
	made := shellTasks()
	use := func(slot **Task, t *Task) bool {
		if *slot != nil {
			return false
		}
		// What a given task says beside its command, such as an image, holds for the others too.
		base := map[string]any{}
		if c.Task != nil {
			maps.Copy(base, c.Task.Config)
		}
		maps.Copy(base, t.Config)
		t.Config = base
		if s.spec == nil || !takesCommand(s.spec, t.Config) {
			return false
		}
		*slot = t
		return true
	}
	ownLong := use(&c.LongTask, made.long)
	use(&c.StubbornTask, made.stubborn)
	use(&c.Task, made.short)
	if ownLong && c.Signal == "" {
		c.Signal, c.SignalStdout = made.signal, made.signalStdout
	}
	if ownLong && c.Exec == nil {
		c.Exec = made.exec
	}
}

// madeUp are tasks for drivers that run commands of this machine.
type madeUp struct {
	short, long, stubborn *Task
	exec                  *Exec
	signal, signalStdout  string
}

// takesCommand reports whether the driver would take the config, and whether it is a command that it runs: a schema
// that allows anything proves nothing.
func takesCommand(spec *schema.Spec, config map[string]any) bool {
	return !spec.Validate(config).HasErrors() &&
		spec.Validate(map[string]any{"command": map[string]any{"not": "a text"}, "args": []any{}}).HasErrors()
}
