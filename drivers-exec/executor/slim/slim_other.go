//go:build !linux

// Package slim keeps a mostly sleeping process small.
package slim

// Trim does nothing on this system.
func Trim() {}
