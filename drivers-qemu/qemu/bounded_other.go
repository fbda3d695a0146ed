//go:build !linux

package qemu

import (
	"bytes"
	"os/exec"
)

// runBounded runs a command; its context bounds it.
func runBounded(cmd *exec.Cmd, _ uint64) (string, error) {
	var text bytes.Buffer
	cmd.Stderr = &text
	err := cmd.Run()
	return text.String(), err
}
