package executor

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
)

// RunDirVariable names the environment variable in which an agent hands its
// plugins the short private directory for sockets.
const RunDirVariable = "DROVER_RUN_DIR"

// KeeperDir is the directory of the keeper that holds a driver's tasks on the
// node whose allocation it is. Two agents on one machine have different ones,
// and an agent has the same for as long as its data directory stays where it
// is. The path is short, because a socket's may have 107 bytes only.
func KeeperDir(driver, allocDir string) string {
	run := os.Getenv(RunDirVariable)
	if run == "" {
		// <data dir>/alloc/<alloc id>
		data := filepath.Dir(filepath.Dir(filepath.Clean(allocDir)))
		sum := sha256.Sum256([]byte(data))
		run = filepath.Join(runRoot(), hex.EncodeToString(sum[:4]))
	}
	return filepath.Join(run, driver)
}

// KeeperDirs are the directories of all keepers of a driver on this machine
// that [KeeperDir] may have named.
func KeeperDirs(driver string) []string {
	pattern := filepath.Join(runRoot(), "*", driver)
	if run := os.Getenv(RunDirVariable); run != "" {
		pattern = filepath.Join(run, driver)
	}
	dirs, _ := filepath.Glob(pattern)
	return dirs
}
