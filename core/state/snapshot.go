package state

import (
	"fmt"
	"iter"

	"github.com/hashicorp/go-memdb"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// AllNamespaces is what list calls take for "every namespace".
const AllNamespaces = "*"

// Snapshot is the state at one index. It is not safe for use by several goroutines at once when it is a watching one
// (see Store.Blocking); all others are.
type Snapshot struct {
	txn    *memdb.Txn
	allocs *allocTable
	index  uint64
	fleet  *fleet.Snapshot
	watch  memdb.WatchSet // collects what was read; nil when nobody waits for changes
}

var _ scheduler.State = (*Snapshot)(nil)

// Index is the raft index of the snapshot.
func (s *Snapshot) Index() uint64 { return s.index }

// Fleet returns the columns over the nodes. Only a snapshot made by SchedulerSnapshot has them.
func (s *Snapshot) Fleet() *fleet.Snapshot {
	if s.fleet == nil {
		panic("state: the snapshot was made without the fleet; use SchedulerSnapshot")
	}
	return s.fleet
}

// TableIndex returns the index of the last change to any of the tables; at least 1, because clients take 0 for "ask
// again at once".
func (s *Snapshot) TableIndex(tables ...Table) uint64 {
	n := uint64(1)
	for _, t := range tables {
		if row := one[*tableIndex](s, tableIndexes, byID, string(t)); row != nil {
			n = max(n, row.Index)
		}
	}
	return n
}

// one returns the first row of an index, nil when there is none.
func one[T any](s *Snapshot, t Table, index string, args ...any) (row T) {
	ch, raw, err := s.txn.FirstWatch(string(t), index, args...)
	if err != nil {
		panic(fmt.Sprintf("state: read %s by %s: %v", t, index, err))
	}
	s.watch.Add(ch)
	if raw == nil {
		return row
	}
	return raw.(T)
}

// each returns the rows of an index in order.
func each[T any](s *Snapshot, t Table, index string, args ...any) iter.Seq[T] {
	get := func() memdb.ResultIterator {
		it, err := s.txn.Get(string(t), index, args...)
		if err != nil {
			panic(fmt.Sprintf("state: list %s by %s: %v", t, index, err))
		}
		return it
	}
	if s.watch != nil {
		s.watch.Add(get().WatchCh())
	}
	return func(yield func(T) bool) {
		it := get()
		for raw := it.Next(); raw != nil; raw = it.Next() {
			if !yield(raw.(T)) {
				return
			}
		}
	}
}

func collect[T any](seq iter.Seq[T]) []T {
	var out []T
	for v := range seq {
		out = append(out, v)
	}
	return out
}

// AutopilotConfig is the operator's choice, or the defaults.
func (s *Snapshot) AutopilotConfig() *model.AutopilotConfig {
	if c := one[*model.AutopilotConfig](s, TableAutopilotConfig, byID, "global"); c != nil {
		return c
	}
	return model.DefaultAutopilotConfig()
}

// SchedulerConfig is the operator's choice, or the defaults.
func (s *Snapshot) SchedulerConfig() *model.SchedulerConfig {
	if c := one[*model.SchedulerConfig](s, TableSchedulerConfig, byID, "global"); c != nil {
		return c
	}
	return model.DefaultSchedulerConfig()
}
