package consensus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/droverhq/drover/core/state"
)

// PeersFile in the raft directory names the members of a group that lost its majority for good. It is read once, at the
// next start, and then renamed.
const PeersFile = "peers.json"

// recoverGroup makes the members named in the peers file the group's members, with everything this server knows. It
// gives up whatever only the lost servers had.
func (r *Raft) recoverGroup(dir string, conf *raft.Config, logs raft.LogStore, stable raft.StableStore, snaps raft.SnapshotStore, trans raft.Transport) error {
	path := filepath.Join(dir, PeersFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	group, err := raft.ReadConfigJSON(path)
	if err != nil {
		return fmt.Errorf("recover the group from %s: %w; it is a list such as [{\"id\": \"…\", \"address\": \"10.0.0.1:4647\"}]", path, err)
	}
	if err := included(conf.LocalID, group); err != nil {
		return fmt.Errorf("recover the group from %s: %w", path, err)
	}
	// The library fills the state while it compacts the log into a snapshot; the server's own is filled from that.
	store, err := state.New(state.Config{})
	if err != nil {
		return err
	}
	if err := raft.RecoverCluster(conf, machine{store}, logs, stable, snaps, trans, group); err != nil {
		return fmt.Errorf("recover the group from %s: %w", path, err)
	}
	if err := os.Rename(path, path+".done"); err != nil {
		return fmt.Errorf("the group was recovered, but the file would do it again: %w", err)
	}
	r.logger.Warn("the group was recovered by hand", "file", path, "servers", len(group.Servers))
	return nil
}

func included(id raft.ServerID, group raft.Configuration) error {
	for _, s := range group.Servers {
		if s.ID == id {
			return nil
		}
	}
	return fmt.Errorf("it does not name this server, whose ID is %s (file server/server-id)", id)
}
