package server

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// nameCluster gives a new cluster its identity, so that the snapshot of another is known as such.
func (s *Server) nameCluster() error {
	if s.state.Snapshot().Cluster() != nil {
		return nil
	}
	_, _, err := s.apply(s.ctx, &consensus.NameCluster{Cluster: &model.Cluster{
		ID: uuid.NewString(), Region: s.cfg.Region, CreateTime: time.Now().UTC(),
	}})
	return err
}

// SnapshotSave writes everything, as of one index, compressed, in a form that SnapshotRestore reads.
func (s *Server) SnapshotSave(w io.Writer) (index uint64, err error) {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return 0, err
	}
	if index, err = s.raft.Save(z); err != nil {
		return 0, err
	}
	if err := z.Close(); err != nil {
		return 0, fmt.Errorf("write snapshot: %w", err)
	}
	return index, nil
}

// SnapshotRestore replaces everything by a snapshot. A damaged one is refused before anything is changed, and one of
// another cluster too unless that is wanted (force).
func (s *Server) SnapshotRestore(ctx context.Context, r io.Reader, force bool) error {
	// Raft wants to know the size, and a snapshot must be known to be sound before the group gives its state up for it:
	// it goes through a file.
	f, err := os.CreateTemp(s.tempDir(), "restore-*.snap")
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	plain, err := state.Plain(r)
	if err != nil {
		return err
	}
	// What is read is checked as it comes: something else is refused at its first bytes, however long it is.
	found, err := state.CheckSnapshot(io.TeeReader(plain, f))
	if disk := (*fs.PathError)(nil); errors.As(err, &disk) { // of the file: the one who sends has none
		return fmt.Errorf("restore snapshot: %w", err)
	}
	if err != nil {
		return &rpc.Error{Class: rpc.ErrInvalid, Text: err.Error()}
	}
	own := s.state.Snapshot().Cluster()
	if c := found.Cluster; c != nil && own != nil && c.ID != own.ID && !force {
		return rpc.Errorf(rpc.ErrInvalid, "the snapshot is of another cluster: %s of region %s, made %s; this one is %s. Its jobs, nodes and secrets would replace those that are here: use -force if that is wanted",
			c.ID, c.Region, c.CreateTime.Format(time.RFC3339), own.ID)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	if err := s.raft.Restore(ctx, f, size, found.Index); err != nil {
		return err
	}
	s.nudges.relead.poke()
	return nil
}
