//go:build !windows

package logs

import (
	"os"
	"syscall"
)

// openOutput opens a FIFO for reading too: it does not wait for a reader, and no reader's death ends us.
func openOutput(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_APPEND|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// recordFlags: the record lies where others than this driver may write, so no link is followed and nothing waits.
const recordFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
