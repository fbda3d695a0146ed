package state

import (
	"context"

	"github.com/hashicorp/go-memdb"
)

// Blocking runs a query and, while the index it returns is not above minIndex, runs it again each time something that
// it read has changed. When ctx ends, the last run's result stands and the error is nil: a caller that waits sets the
// longest time with context.WithTimeout. minIndex 0 runs the query once.
//
// A query returns the index of its result: that of the tables it lists (Snapshot.TableIndex) or of the row it shows.
func (s *Store) Blocking(ctx context.Context, minIndex uint64, query func(*Snapshot) (uint64, error)) error {
	for {
		snap, abandon := s.watching(minIndex > 0)
		index, err := query(snap)
		if err != nil || minIndex == 0 || index > minIndex || ctx.Err() != nil {
			return err
		}
		snap.watch.Add(abandon)
		if snap.watch.WatchCtx(ctx) != nil {
			return nil
		}
	}
}

func (s *Store) watching(watch bool) (*Snapshot, <-chan struct{}) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	snap := &Snapshot{txn: s.db.Txn(false), allocs: s.allocs, index: s.index}
	if watch {
		snap.watch = memdb.NewWatchSet()
	}
	return snap, s.abandon
}

// WaitIndex returns when the store has applied the entry at index.
func (s *Store) WaitIndex(ctx context.Context, index uint64) error {
	return s.events.waitIndex(ctx, index)
}
