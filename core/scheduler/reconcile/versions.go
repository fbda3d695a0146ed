package reconcile

import "github.com/droverhq/drover/core/model"

// versions remembers which older versions of the job's groups run something else than the current one does.
type versions struct {
	in      *Input
	answers map[versionGroup]bool
}

type versionGroup struct {
	version uint64
	group   string
}

func newVersions(in *Input) *versions { return &versions{in, map[versionGroup]bool{}} }

// differ tells whether instances of a group of that version must be replaced rather than updated in place. Without the
// version nothing can be compared, so they must.
func (v *versions) differ(version uint64, group string) bool {
	key := versionGroup{version, group}
	if answer, ok := v.answers[key]; ok {
		return answer
	}
	was := v.in.Version(version)
	answer := was == nil || model.TasksUpdated(was, v.in.Job, group)
	v.answers[key] = answer
	return answer
}
