package state

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/droverhq/drover/core/model"
)

// push is what one entry changed for one node.
type push struct {
	allocs  []*model.Allocation
	removed []string
}

func (tx *Txn) pushFor(node string) *push {
	p := tx.pushes[node]
	if p == nil {
		p = &push{}
		tx.pushes[node] = p
	}
	return p
}

func (tx *Txn) push(a *model.Allocation) {
	p := tx.pushFor(a.NodeID)
	p.allocs = append(p.allocs, a)
}

func (tx *Txn) pushRemoved(a *model.Allocation) {
	p := tx.pushFor(a.NodeID)
	p.removed = append(p.removed, a.ID)
}

// feeds are the nodes' streams that are open on this server.
type feeds struct {
	mu     sync.Mutex
	byNode map[string]map[*NodeFeed]bool
}

func newFeeds() *feeds { return &feeds{byNode: map[string]map[*NodeFeed]bool{}} }

func (f *feeds) publish(index uint64, pushes map[string]*push) {
	if len(pushes) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for node, p := range pushes {
		for feed := range f.byNode[node] {
			feed.add(index, p)
		}
	}
}

// closeAll ends every stream: the state they continue is gone.
func (f *feeds) closeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, set := range f.byNode {
		for feed := range set {
			feed.end()
		}
	}
	clear(f.byNode)
}

// NodeFeed collects the changes that servers make to a node's allocations until they are taken. An allocation that
// changes twice in between is handed out once, so a slow node costs no more than its allocations.
type NodeFeed struct {
	node  string
	feeds *feeds
	ready chan struct{} // holds a token while something waits

	mu      sync.Mutex
	index   uint64
	allocs  map[string]*model.Allocation
	removed map[string]bool
	ended   bool
}

// NodeFeed opens a stream for a node. The snapshot holds what the stream continues.
func (s *Store) NodeFeed(node string) (*NodeFeed, *Snapshot) {
	feed := &NodeFeed{
		node: node, feeds: s.feeds, ready: make(chan struct{}, 1),
		allocs: map[string]*model.Allocation{}, removed: map[string]bool{},
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.feeds.mu.Lock()
	defer s.feeds.mu.Unlock()
	if s.feeds.byNode[node] == nil {
		s.feeds.byNode[node] = map[*NodeFeed]bool{}
	}
	s.feeds.byNode[node][feed] = true
	return feed, &Snapshot{txn: s.db.Txn(false), allocs: s.allocs, index: s.index}
}

func (f *NodeFeed) add(index uint64, p *push) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index = index
	for _, a := range p.allocs {
		f.allocs[a.ID] = a
		delete(f.removed, a.ID)
	}
	for _, id := range p.removed {
		delete(f.allocs, id)
		f.removed[id] = true
	}
	f.signal()
}

func (f *NodeFeed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	f.signal()
}

func (f *NodeFeed) signal() {
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

// Changes is what came together since the last call of Next, ordered by allocation ID.
type Changes struct {
	Index   uint64
	Allocs  []*model.Allocation
	Removed []string
}

// Next waits for changes. It fails with ErrRestored when the stream has to be opened anew.
func (f *NodeFeed) Next(ctx context.Context) (*Changes, error) {
	select {
	case <-f.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return nil, ErrRestored
	}
	c := &Changes{Index: f.index}
	for _, id := range slices.Sorted(maps.Keys(f.allocs)) {
		c.Allocs = append(c.Allocs, f.allocs[id])
	}
	c.Removed = slices.Sorted(maps.Keys(f.removed))
	clear(f.allocs)
	clear(f.removed)
	return c, nil
}

// Close gives the stream up.
func (f *NodeFeed) Close() {
	f.feeds.mu.Lock()
	defer f.feeds.mu.Unlock()
	set := f.feeds.byNode[f.node]
	delete(set, f)
	if len(set) == 0 {
		delete(f.feeds.byNode, f.node)
	}
}
