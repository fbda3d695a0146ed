package executor

import (
	"os"
	"path/filepath"
)

// runRoot is where agents have their directories for helpers' addresses.
func runRoot() string {
	base := os.Getenv("ProgramData")
	if base == "" {
		base = os.TempDir()
	}
	return filepath.Join(base, "drover", "run")
}
