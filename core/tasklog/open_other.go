//go:build !unix

package tasklog

const openNonblock = 0
