//go:build !windows

package executor

import (
	"os"
	"path/filepath"
	"strconv"
)

// runRoot is where agents have their directories for sockets.
func runRoot() string {
	if os.Geteuid() == 0 {
		return "/run/drover"
	}
	return filepath.Join(os.TempDir(), "drover-"+strconv.Itoa(os.Geteuid()))
}
