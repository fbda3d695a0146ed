package executor

import (
	"os"
	"sync/atomic"
)

// sessions numbers commands run inside tasks, for ids of their own.
type sessions struct{ n atomic.Uint64 }

// Session is a command to be run inside a task: in its namespaces and cgroup,
// as its user, with no more rights than it has.
type Session struct {
	// Path is the program as the task sees it; Args the complete vector.
	Path string
	Args []string
	Env  []string
	// Stdin, Stdout and Stderr are the command's files; with TTY all three are
	// the terminal's.
	Stdin, Stdout, Stderr *os.File
	TTY                   bool
}

// Terminal is a pseudo-terminal. Its user side is handed to a Session and
// closed here when that has begun.
type Terminal struct {
	Control *os.File
	User    *os.File
}
