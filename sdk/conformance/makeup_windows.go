package conformance

func shellTasks() madeUp {
	shell := func(script string) map[string]any {
		return map[string]any{"command": "cmd.exe", "args": []any{"/c", script}}
	}
	long := func() *Task { return &Task{Config: shell("echo running& ping -n 3600 127.0.0.1"), Stdout: "running"} }
	return madeUp{
		short: &Task{Config: shell("echo to stdout& echo to stderr 1>&2& exit 7"), ExitCode: 7, Stdout: "to stdout", Stderr: "to stderr"},
		long:  long(), stubborn: long(),
		exec: &Exec{Command: []string{"cmd.exe", "/c", "echo inside& exit 3"}, Stdout: "inside", ExitCode: 3},
	}
}
