//go:build !linux

package isolation

// Hidden is for machines that isolate.
type Hidden struct{}
