// Package cgroup makes the control groups that drivers find in their task's configuration. A
// driver that manages groups of its own ignores them.
package cgroup

// Default is the parent group when the operator names none.
const Default = "drover.slice"
