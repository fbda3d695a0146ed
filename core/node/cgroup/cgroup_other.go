//go:build !linux

package cgroup

// Manager does nothing: there are no control groups here.
type Manager struct{}

// New returns a Manager that does nothing.
func New(string) *Manager { return &Manager{} }

// Prepare has no directory to return.
func (*Manager) Prepare(string, string, []uint16) (string, error) { return "", nil }

// Clean has nothing to remove.
func (*Manager) Clean(string, string) error { return nil }

// Close has nothing to remove.
func (*Manager) Close() {}
