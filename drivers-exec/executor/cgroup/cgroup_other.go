//go:build !linux

package cgroup

import "context"

// Host is empty on systems without cgroups.
type Host struct{}

// Detect finds nothing.
func Detect() (Host, error) { return Host{}, nil }

// Remove has nothing to remove.
func (g Group) Remove() error { return nil }

// Kill has nothing to kill.
func (g Group) Kill(context.Context) error { return nil }

// OOMKills counts nothing.
func (g Group) OOMKills() int { return 0 }

// LimitReached has no limit to look at.
func (g Group) LimitReached() bool { return true }
