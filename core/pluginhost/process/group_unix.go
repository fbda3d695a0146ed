//go:build unix

package process

import "syscall"

// killGroup ends what a process that leads a session has started and that has not left its group.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
