// Package launch starts one operating system process exactly as a [Spec] says.
//
// On Linux the process is made by a single clone3 call and then a list of
// system calls that the child runs one after the other, ending in execve.
// The list is compiled before the fork (see compile_linux.go), so the child
// runs no Go code that could allocate or block on a lock, no second program
// is executed on the way, and a failing call is reported by name. This is how
// an isolated task costs one fork and not the chain of re-executed helpers
// that other runtimes need; docs/design/003-isolation.md has the figures.
//
// The package takes decisions already made: it looks up no user, no command
// and no limit. That is the work of the plugin that composes the Spec.
package launch
