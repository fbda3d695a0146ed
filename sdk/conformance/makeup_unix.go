//go:build unix

package conformance

func shellTasks() madeUp {
	shell := func(script string) map[string]any {
		return map[string]any{"command": "/bin/sh", "args": []any{"-c", script}}
	}
	// In a container a task may be the first process, which no signal ends that it does not handle.
	const obeys = "trap 'exit 130' INT; trap 'exit 143' TERM; "
	const forever = "while :; do sleep 1 & wait $!; done"
	return madeUp{
		short:    &Task{Config: shell("echo to stdout; echo to stderr >&2; exit 7"), ExitCode: 7, Stdout: "to stdout\n", Stderr: "to stderr\n"},
		long:     &Task{Config: shell("trap 'echo got it' USR1; " + obeys + "echo running; " + forever), Stdout: "running\n"},
		stubborn: &Task{Config: shell("trap '' TERM INT HUP QUIT; echo running; " + forever), Stdout: "running\n"},
		exec:     &Exec{Command: []string{"/bin/sh", "-c", "echo inside; exit 3"}, Stdout: "inside\n", ExitCode: 3, Cat: []string{"cat"}},
		signal:   "SIGUSR1", signalStdout: "got it\n",
	}
}
