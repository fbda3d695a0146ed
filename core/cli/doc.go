// Package cli is the command line: one file per group of commands. Every command that reads prints a table or a list
// of keys for people, the API's JSON with -json, or whatever a Go template says with -t. Errors go to stderr and end
// with a non-zero exit code.
//
// Flags are written with one dash or two, values with "=" or a space, as existing scripts do.
package cli
