package executor

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// GroupName is the name of a task's cgroup: its id, <alloc>.<task>.<start>,
// with what a file name cannot hold replaced.
func GroupName(id string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r == '/':
			return '.'
		case r <= ' ' || r == 0x7f:
			return '_'
		}
		return r
	}, id)
	if len(name) <= 200 && !strings.HasPrefix(name, ".") && name != "" {
		return name
	}
	sum := sha256.Sum256([]byte(id))
	return "task-" + hex.EncodeToString(sum[:16])
}
