//go:build !unix

package template

// openNonblock is nothing here: named pipes are not in directories.
const openNonblock = 0
