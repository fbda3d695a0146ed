//go:build !windows

package taskrunner

import "path/filepath"

// insideRoot is where drivers with a root of their own mount the task's directories.
const insideRoot = "/"

func fifoPath(logs, task, stream, _ string) string {
	return filepath.Join(logs, "."+task+"."+stream+".fifo")
}
