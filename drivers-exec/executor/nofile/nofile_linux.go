// Package nofile knows how many files this process was allowed to have open
// before the Go runtime raised that.
//
// A Go program raises its soft limit to the hard one when package os is
// initialised, and undoes this only for processes started with os/exec. Tasks
// are not started with that, and a program that closes "all" files by counting
// to the limit must not be made to count to a million. Packages that are ready
// are initialised in the order of their import paths (Go 1.21 and later), and
// this one needs nothing but syscall, so it comes before os. It is the one
// place of this module that does something at initialisation.
package nofile

import "syscall"

// inherited is read when the package is initialised and never changed.
var inherited, known = read()

func read() (syscall.Rlimit, bool) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return l, err == nil
}

// Inherited returns the soft and hard limit this process was started with.
func Inherited() (soft, hard uint64, ok bool) { return inherited.Cur, inherited.Max, known }
