package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/core/node/allocdir"
)

// ownerFile in alloc_dir names the node whose allocations live there.
const ownerFile = ".owner"

// claimAllocDir makes alloc_dir and notes whose it is. mine is false when it belongs to another node: then nothing in it
// is ever taken for a leftover.
func claimAllocDir(dir, nodeID string) (mine bool, err error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return false, fmt.Errorf("make alloc_dir: %w", err)
	}
	path := filepath.Join(dir, ownerFile)
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)) == nodeID, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(nodeID+"\n"), 0o600); err != nil {
		return false, fmt.Errorf("claim alloc_dir: %w", err)
	}
	return true, nil
}

// sweep removes directories of allocations that neither the servers nor client state know: leftovers of a node whose
// client state was lost. It is called once the servers have told what belongs here.
func (n *Node) sweep() {
	entries, err := os.ReadDir(n.cfg.AllocDir)
	if err != nil {
		n.logger.Warn("leftover allocation directories not looked for", "error", err)
		return
	}
	for _, e := range entries {
		dir := allocdir.New(n.cfg.AllocDir, e.Name())
		if !e.IsDir() || n.runner(e.Name()) != nil {
			continue
		}
		if _, err := os.Stat(dir.Logs()); err != nil {
			continue // not one of ours
		}
		n.logger.Warn("removing a leftover allocation directory", "dir", dir.Root())
		if err := dir.Destroy(); err != nil {
			n.logger.Error("leftover not removed", "error", err)
		}
	}
}
