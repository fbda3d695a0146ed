//go:build !windows

package taskfiles

import (
	"os/exec"
	"syscall"
)

const suffix = ""

// environment of the helper: nothing of the agent's.
func environment() []string { return []string{"PATH=/usr/local/bin:/usr/bin:/bin"} }

func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
