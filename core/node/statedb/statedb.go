// Package statedb keeps what a node must still know after its agent was restarted: its allocations, the handles of
// their tasks and how tasks ended.
//
// Writes are queued and committed together: Put returns at once, Flush returns when everything put before it is on
// disk. Whoever reports something to the servers flushes first, so nothing is reported that a crash could make untrue.
//
// # A damaged file
//
// A file that cannot be read is moved aside as state.db.corrupt-<time> and the node goes on with an empty one. Task
// handles are also kept one file each in handles/ (written with every commit, not synced: they only have to outlive the
// process), and from those the tasks that still run are found again once the servers have said what belongs here. A
// single record that fails its checksum is left out and reported.
package statedb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/restart"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/network"
)

// lazyCommit is how long a put may wait for others before it is committed without anyone asking.
const lazyCommit = 250 * time.Millisecond

// Task is what is kept of one task.
type Task struct {
	TaskID     string // of the latest start attempt, stored before the driver is called
	Driver     string
	Generation uint64             // of the plugin that started it
	Handle     *driver.TaskHandle // nil until the start succeeded
	Network    *driver.NetworkOverride
	Restart    restart.Tracker
	PayloadSet bool // the dispatch payload has been written
	Artifacts  int  // of the task's that have been fetched, in their order
}

// Alloc is what is kept of one allocation.
type Alloc struct {
	Alloc  *model.Allocation // Job is filled in
	Tasks  map[string]*Task
	States map[string]*model.TaskState
	Health *model.AllocDeploymentStatus
	// Network is nil for allocations that use the node's own.
	Network *Network
}

// Network is what is kept of an allocation's network.
type Network struct {
	Plugin    string // that set it up
	Driver    string // that made the namespace; "" = the plugin did
	Labels    map[string]string
	Wanted    *network.Allocation
	Isolation *driver.NetworkIsolation // nil while it is being set up
	Status    *model.AllocNetworkStatus
}

// Store is the node's memory. A nil file means it forgets with the process.
type Store struct {
	db *file // nil in dev mode

	mu       sync.Mutex
	cond     *sync.Cond        // signalled when a commit ends
	pending  map[string][]byte // not yet being committed; nil value = delete
	inflight map[string][]byte
	seq      uint64            // of the last put
	done     uint64            // every put up to here is committed
	attempts uint64            // commits tried
	lastErr  error             // of the last commit
	values   map[string][]byte // dev mode: everything
	jobs     map[string]int    // job version -> allocations that name it
	jobOf    map[string]string // allocation -> its job version's key

	urgent chan struct{}
	lazy   chan struct{}
	stop   chan struct{}
	ended  chan struct{}
}

func newStore(db *file) *Store {
	s := &Store{
		db: db, pending: map[string][]byte{}, jobs: map[string]int{}, jobOf: map[string]string{},
		urgent: make(chan struct{}, 1), lazy: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	s.cond = sync.NewCond(&s.mu)
	return s
}

// Memory returns a store that keeps nothing beyond the process.
func Memory() *Store {
	s := newStore(nil)
	s.values = map[string][]byte{}
	close(s.ended)
	return s
}

// Open opens the store in dir (made 0700 if missing). notes are things that went wrong without stopping the node, such
// as a damaged file that was moved aside: they belong in the log and in front of the operator.
func Open(dir string) (s *Store, notes []error, err error) {
	db, notes, err := openFile(dir)
	if err != nil {
		return nil, notes, err
	}
	s = newStore(db)
	go s.commitLoop()
	return s, notes, nil
}

// Close commits what is queued and closes the file.
func (s *Store) Close() error {
	if s.db == nil {
		return nil
	}
	err := s.Flush(context.Background())
	close(s.stop)
	<-s.ended
	return errors.Join(err, s.db.close())
}

// Keys. Names of jobs and tasks cannot contain NUL.
const (
	sep     = "\x00"
	metaKey = "meta"
)

func allocKey(id string) string       { return "alloc" + sep + id }
func healthKey(id string) string      { return "health" + sep + id }
func networkKey(id string) string     { return "network" + sep + id }
func taskKey(id, task string) string  { return "task" + sep + id + sep + task }
func stateKey(id, task string) string { return "state" + sep + id + sep + task }
func jobKey(j *model.Job) string {
	return fmt.Sprintf("job%s%s%s%s%s%d", sep, j.Namespace, sep, j.ID, sep, j.JobModifyIndex)
}

// storedAlloc is the record of an allocation; its job is a record of its own.
type storedAlloc struct {
	Alloc *model.Allocation
	Job   string
}

// PutAlloc stores an allocation and, once per version, its job.
func (s *Store) PutAlloc(a *model.Allocation) error {
	c := *a
	c.Job = nil
	c.Metrics = nil
	key := ""
	ops := map[string][]byte{}
	if a.Job != nil {
		key = jobKey(a.Job)
	}
	s.mu.Lock()
	known := key == "" || s.jobs[key] > 0
	s.mu.Unlock()
	var err error
	if !known {
		if ops[key], err = encode(a.Job); err != nil {
			return err
		}
	}
	if ops[allocKey(a.ID)], err = encode(storedAlloc{&c, key}); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.jobOf[a.ID]; old != key {
		s.releaseJob(old, ops)
		if key != "" {
			s.jobs[key]++
		}
		s.jobOf[a.ID] = key
	}
	s.put(ops)
	return nil
}

// releaseJob forgets a job version nobody names any more. Called with the lock held.
func (s *Store) releaseJob(key string, ops map[string][]byte) {
	if key == "" {
		return
	}
	if s.jobs[key]--; s.jobs[key] <= 0 {
		delete(s.jobs, key)
		ops[key] = nil
	}
}

// PutTask stores what is needed to find a task again.
func (s *Store) PutTask(allocID, task string, t *Task) error {
	return s.putOne(taskKey(allocID, task), t)
}

// PutState stores how a task is.
func (s *Store) PutState(allocID, task string, st *model.TaskState) error {
	return s.putOne(stateKey(allocID, task), st)
}

// PutHealth stores what was found out about an allocation's health.
func (s *Store) PutHealth(allocID string, h *model.AllocDeploymentStatus) error {
	return s.putOne(healthKey(allocID), h)
}

// PutNetwork stores an allocation's network.
func (s *Store) PutNetwork(allocID string, n *Network) error {
	return s.putOne(networkKey(allocID), n)
}

func (s *Store) putOne(key string, v any) error {
	b, err := encode(v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(map[string][]byte{key: b})
	return nil
}

// DeleteAlloc forgets an allocation and its tasks.
func (s *Store) DeleteAlloc(id string, tasks []string) {
	ops := map[string][]byte{allocKey(id): nil, healthKey(id): nil, networkKey(id): nil}
	for _, t := range tasks {
		ops[taskKey(id, t)], ops[stateKey(id, t)] = nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseJob(s.jobOf[id], ops)
	delete(s.jobOf, id)
	s.put(ops)
}

// put queues operations. Called with the lock held.
func (s *Store) put(ops map[string][]byte) {
	if s.db == nil {
		for k, v := range ops {
			if v == nil {
				delete(s.values, k)
			} else {
				s.values[k] = v
			}
		}
		return
	}
	maps.Copy(s.pending, ops)
	s.seq++
	poke(s.lazy)
}

// Flush waits until everything put so far is on disk, or one attempt after the call has failed. What could not be
// written stays queued and is tried again.
func (s *Store) Flush(ctx context.Context) error {
	if s.db == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	want, before := s.seq, s.attempts
	if s.inflight != nil {
		before++ // the commit under way may not contain the latest puts
	}
	if s.done >= want {
		return nil
	}
	poke(s.urgent)
	stop := context.AfterFunc(ctx, s.cond.Broadcast)
	defer stop()
	for s.done < want {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.attempts > before && s.lastErr != nil {
			return s.lastErr
		}
		s.cond.Wait()
	}
	return nil
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// commitLoop is the only writer.
func (s *Store) commitLoop() {
	defer close(s.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	armed := false
	for {
		select {
		case <-s.stop:
			return
		case <-s.lazy:
			if !armed {
				timer.Reset(lazyCommit)
				armed = true
			}
			continue
		case <-timer.C:
		case <-s.urgent:
		}
		armed = false
		if !s.commit() {
			timer.Reset(4 * lazyCommit) // disk full or failing: try again
			armed = true
		}
	}
}

func (s *Store) commit() (ok bool) {
	s.mu.Lock()
	if len(s.pending) == 0 {
		s.mu.Unlock()
		return true
	}
	ops, upto := s.pending, s.seq
	s.pending, s.inflight = map[string][]byte{}, ops
	s.mu.Unlock()

	err := s.db.apply(ops)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.inflight = nil
	s.attempts++
	s.lastErr = err
	if err == nil {
		s.done = upto
	} else {
		maps.Copy(ops, s.pending) // newer ones win
		s.pending = ops
	}
	s.cond.Broadcast()
	if len(s.pending) > 0 {
		poke(s.lazy)
	}
	return err == nil
}

// Task returns what is stored of one task, nil when there is nothing. It is how a handle is found again without keeping
// it in memory.
func (s *Store) Task(allocID, task string) (*Task, error) {
	b, err := s.get(taskKey(allocID, task))
	if b == nil || err != nil {
		return nil, err
	}
	t := new(Task)
	if err := decode(b, t); err != nil {
		return nil, fmt.Errorf("read task %s of allocation %s from client state: %w", task, allocID, err)
	}
	return t, nil
}

func (s *Store) get(key string) ([]byte, error) {
	s.mu.Lock()
	for _, m := range []map[string][]byte{s.pending, s.inflight, s.values} {
		if v, ok := m[key]; ok {
			s.mu.Unlock()
			return v, nil
		}
	}
	s.mu.Unlock()
	if s.db == nil {
		return nil, nil
	}
	return s.db.get(key)
}

// PutMeta stores the node's dynamic meta.
func (s *Store) PutMeta(meta map[string]*string) error { return s.putOne(metaKey, meta) }

// Meta is the node's dynamic meta; nil when there is none.
func (s *Store) Meta() map[string]*string {
	b, err := s.get(metaKey)
	if err != nil || b == nil {
		return nil
	}
	var meta map[string]*string
	if decode(b, &meta) != nil {
		return nil
	}
	return meta
}

// encode and decode add the version of the records.
const recordVersion = 1

func encode(v any) ([]byte, error) {
	b, err := rpc.Encode(v)
	if err != nil {
		return nil, fmt.Errorf("encode client state: %w", err)
	}
	return append([]byte{recordVersion}, b...), nil
}

func decode(b []byte, v any) error {
	if len(b) == 0 || b[0] != recordVersion {
		return fmt.Errorf("record of an unknown version; written by a newer agent?")
	}
	return rpc.Decode(b[1:], v)
}
