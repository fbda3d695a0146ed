package executor

import (
	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// place names a process's standard files, which the keeper opens.
func place(spec *launch.Spec, c Command) (launch.Files, func(), error) {
	spec.Stdout, spec.Stderr = c.Stdout, c.Stderr
	return launch.Files{}, func() {}, nil
}

// open has nothing to open: the keeper holds the process.
func open(proc.ID) (int, error) { return -1, nil }

// sameProgram keeps a keeper as it is: Windows cannot replace the program of a
// process, so a newer one takes over when the old one has nothing left to hold.
func sameProgram(string, int) bool { return true }
