//go:build !linux

package agent

// keepInherited: Go opens everything so that children do not get it, and on Windows nothing else is handed on.
func keepInherited() {}
