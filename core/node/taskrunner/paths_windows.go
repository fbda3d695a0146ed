package taskrunner

// insideRoot is where drivers with a root of their own mount the task's directories.
const insideRoot = `c:\`

// fifoPath: named pipes are global to the machine, so the allocation's id takes part.
func fifoPath(_, task, stream, allocID string) string {
	return "//./pipe/" + task + "-" + allocID[:min(8, len(allocID))] + "." + stream
}
