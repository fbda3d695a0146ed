//go:build unix

package tasklog

import "syscall"

// openNonblock keeps an open of a FIFO that took a file's name from waiting for a writer.
const openNonblock = syscall.O_NONBLOCK
