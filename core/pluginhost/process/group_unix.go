//go:build unix

package process

import "syscall"

// system is the credential in the system's form.
func (c *Credential) system() *syscall.Credential {
	if c == nil {
		return nil
	}
	return &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups}
}

// killGroup ends what a process that leads a session has started and that has not left its group.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
