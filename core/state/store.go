package state

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-memdb"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// Config is what a Store needs to know.
type Config struct {
	// EventBuffer is how many entries' events are kept for the event stream; 0 means 100.
	EventBuffer int

	// OnCommit is told of every transaction after it became visible, in order, by the goroutine that wrote it. It must
	// not write and must not wait.
	OnCommit func(*Commit)
}

// Store is the state. Create it with New.
type Store struct {
	onCommit func(*Commit)
	events   *eventLog
	feeds    *feeds

	mu      sync.RWMutex // held for writing while a transaction becomes visible
	db      *memdb.MemDB
	allocs  *allocTable
	fleet   *fleet.Table
	seen    *fleet.Snapshot // of the fleet as it is now; nil when it changed since
	index   uint64
	abandon chan struct{} // closed when a restore replaces db
}

// New returns a store that holds what every cluster has: the default namespace and node pools.
func New(cfg Config) (*Store, error) {
	if cfg.EventBuffer <= 0 {
		cfg.EventBuffer = 100
	}
	s := &Store{
		onCommit: cfg.OnCommit,
		events:   newEventLog(cfg.EventBuffer),
		feeds:    newFeeds(),
		allocs:   newAllocTable(),
		fleet:    fleet.New(),
		abandon:  make(chan struct{}),
	}
	var err error
	if s.db, err = emptyDB(); err != nil {
		return nil, err
	}
	return s, nil
}

func emptyDB() (*memdb.MemDB, error) {
	db, err := memdb.NewMemDB(schema())
	if err != nil {
		return nil, fmt.Errorf("make the state's tables: %w", err)
	}
	txn := db.Txn(true)
	for table, rows := range map[Table][]any{
		TableNamespaces: {&model.Namespace{Name: model.DefaultNamespace, Description: "Default shared namespace", CreateIndex: 1, ModifyIndex: 1}},
		TableNodePools: {
			&model.NodePool{Name: model.NodePoolAll, Description: "Node pool with all nodes in the cluster.", CreateIndex: 1, ModifyIndex: 1},
			&model.NodePool{Name: model.NodePoolDefault, Description: "Default node pool.", CreateIndex: 1, ModifyIndex: 1},
		},
		tableIndexes: {&tableIndex{TableNamespaces, 1}, &tableIndex{TableNodePools, 1}},
	} {
		for _, row := range rows {
			if err := txn.Insert(string(table), row); err != nil {
				txn.Abort()
				return nil, fmt.Errorf("fill table %s: %w", table, err)
			}
		}
	}
	txn.Commit()
	return db, nil
}

// Snapshot returns the state as it is now, without the fleet's columns.
func (s *Store) Snapshot() *Snapshot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return &Snapshot{txn: s.db.Txn(false), allocs: s.allocs, index: s.index}
}

// SchedulerSnapshot is Snapshot with the fleet's columns.
func (s *Store) SchedulerSnapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = s.fleet.Snapshot()
	}
	return &Snapshot{txn: s.db.Txn(false), allocs: s.allocs, index: s.index, fleet: s.seen}
}

// Index is that of the last entry applied.
func (s *Store) Index() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.index
}

// Write applies one entry. What fn wrote becomes visible when it returns nil, and not at all otherwise. now is the
// entry's time, kind the event type of what it changes.
func (s *Store) Write(index uint64, now time.Time, kind string, fn func(*Txn) error) error {
	// There is one writer, so the store itself does not change under fn.
	mtxn := s.db.Txn(true)
	tx := &Txn{
		Snapshot: &Snapshot{txn: mtxn, allocs: s.allocs, index: index},
		now:      now.UTC(),
		kind:     kind,
		commit:   &Commit{Index: index},
		touched:  map[Table]bool{},
		jobs:     map[model.JobID]bool{},
		counts:   map[model.JobID]*jobCounts{},
		summary:  map[model.JobID]*model.JobSummary{},
		pushes:   map[string]*push{},
	}
	err := fn(tx)
	if err == nil {
		err = tx.finish()
	}
	s.mu.Lock()
	s.index = max(s.index, index)
	if err != nil {
		s.mu.Unlock()
		mtxn.Abort()
		return err
	}
	for _, change := range tx.columns {
		change(s.fleet)
	}
	if len(tx.columns) > 0 {
		s.seen = nil
	}
	s.feeds.publish(index, tx.pushes)
	if tx.allocEdit != nil {
		s.allocs = tx.allocEdit.Commit()
	}
	mtxn.Commit()
	s.mu.Unlock()

	s.events.append(index, tx.events)
	if s.onCommit != nil {
		s.onCommit(tx.commit)
	}
	return nil
}

// Commit says what a transaction changed that the leader's loops care about.
type Commit struct {
	Index       uint64
	Evals       []*model.Evaluation // written, as they are now
	EvalsGone   []string
	Nodes       []*model.Node // written, as they are now
	NodesGone   []string
	Freed       []string // nodes on which an allocation stopped counting or ended
	Deployments []string // written, or one of their allocations was
	Jobs        []model.JobID
}
