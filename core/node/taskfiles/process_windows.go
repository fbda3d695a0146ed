package taskfiles

import (
	"os"
	"os/exec"
)

const suffix = ".exe"

// environment of the helper: what Windows itself needs to open sockets and find programs.
func environment() []string {
	var out []string
	for _, name := range []string{"SystemRoot", "PATH", "PATHEXT", "ComSpec"} {
		out = append(out, name+"="+os.Getenv(name))
	}
	return out
}

func ownGroup(*exec.Cmd) {}

func killGroup(cmd *exec.Cmd) { cmd.Process.Kill() }
