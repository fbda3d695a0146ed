package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
)

type tester struct {
	*Store
	t     *testing.T
	index uint64
}

func newTester(t *testing.T) *tester {
	t.Helper()
	s, err := New(Config{EventBuffer: 4})
	if err != nil {
		t.Fatal(err)
	}
	return &tester{Store: s, t: t, index: 1}
}

func (s *tester) write(fn func(*Txn)) uint64 {
	s.t.Helper()
	s.index++
	err := s.Write(s.index, time.Unix(int64(s.index), 0), "Test", func(tx *Txn) error { fn(tx); return nil })
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.Verify(); err != nil {
		s.t.Fatal(err)
	}
	return s.index
}

func web(version string) *model.Job {
	return &model.Job{
		Namespace: "default", ID: "web", Name: "web", Type: model.JobTypeService, Priority: 50, Meta: map[string]string{"v": version},
		TaskGroups: []*model.TaskGroup{{Name: "g", Count: 1}},
	}
}

func alloc(id string) *model.Allocation {
	return &model.Allocation{
		ID: id, Namespace: "default", JobID: "web", TaskGroup: "g", NodeID: "n1", EvalID: "e1",
		DesiredStatus: model.AllocDesiredRun, ClientStatus: model.AllocClientPending,
	}
}

func (s *tester) place(a *model.Allocation) uint64 {
	return s.write(func(tx *Txn) {
		tx.ApplyPlan(&model.PlanResult{NodeAllocation: map[string][]*model.Allocation{a.NodeID: {a}}}, nil)
	})
}

// A job's life as its status, from what is known of it.
func TestJobStatus(t *testing.T) {
	s := newTester(t)
	expect := func(want string) {
		t.Helper()
		if got := s.Snapshot().Job("default", "web").Status; got != want {
			t.Fatalf("status is %s, want %s", got, want)
		}
	}
	eval := &model.Evaluation{ID: "e1", Namespace: "default", JobID: "web", Status: model.EvalPending}
	s.write(func(tx *Txn) { tx.UpsertJob(web("1"), nil, 6); tx.UpsertEvals(eval) })
	expect(model.JobStatusPending)
	s.place(alloc("a1"))
	expect(model.JobStatusRunning)
	s.write(func(tx *Txn) { e := *eval; e.Status = model.EvalComplete; tx.UpsertEvals(&e) })
	expect(model.JobStatusRunning)
	s.write(func(tx *Txn) {
		tx.UpdateAllocsFromNode("n1", []*model.Allocation{{ID: "a1", ClientStatus: model.AllocClientComplete}})
	})
	expect(model.JobStatusDead)
	s.write(func(tx *Txn) {
		tx.UpsertJob(web("2"), nil, 6)
		tx.UpsertEvals(&model.Evaluation{ID: "e2", Namespace: "default", JobID: "web", Status: model.EvalBlocked})
	})
	expect(model.JobStatusPending)
	s.write(func(tx *Txn) {
		tx.UpsertEvals(&model.Evaluation{ID: "e3", Namespace: "default", JobID: "web", Status: model.EvalComplete})
	})
	expect(model.JobStatusDead)
	if got := s.Snapshot().Eval("e2").Status; got != model.EvalCanceled {
		t.Fatalf("the blocked evaluation is %s after everything was placed", got)
	}
	s.write(func(tx *Txn) { tx.DeleteEval("e1"); tx.DeleteEval("e2"); tx.DeleteEval("e3"); tx.DeleteAlloc("a1") })
	expect(model.JobStatusDead)
}

// Versions are kept as far as tracked, tagged or run by an allocation; a purged job's too while something runs it.
func TestVersions(t *testing.T) {
	s := newTester(t)
	numbers := func() (out []uint64) {
		for _, v := range s.Snapshot().JobVersions("default", "web") {
			out = append(out, v.Version)
		}
		return out
	}
	for i := range 3 {
		s.write(func(tx *Txn) { tx.UpsertJob(web(fmt.Sprint(i)), &model.JobSubmission{Source: "x"}, 2) })
	}
	if got := numbers(); !slices.Equal(got, []uint64{2, 1}) {
		t.Fatalf("kept %v", got)
	}
	if sub := s.Snapshot().JobSubmission("default", "web", 0); sub != nil {
		t.Fatal("the source of a dropped version is kept")
	}
	s.write(func(tx *Txn) { tx.TagJobVersion("default", "web", 1, &model.JobVersionTag{Name: "good"}) })
	a := alloc("a1")
	a.JobVersion = 2
	s.place(a)
	for i := range 4 {
		s.write(func(tx *Txn) { tx.UpsertJob(web(fmt.Sprint("again", i)), nil, 2) })
	}
	if got := numbers(); !slices.Equal(got, []uint64{6, 5, 2, 1}) {
		t.Fatalf("kept %v: the tagged and the running version must be among them", got)
	}
	s.write(func(tx *Txn) { tx.UpsertJob(web("again3"), nil, 2) })
	if got := s.Snapshot().Job("default", "web").Version; got != 6 {
		t.Fatalf("the same job made version %d", got)
	}
	s.write(func(tx *Txn) { tx.DeleteJob("default", "web") })
	if got := numbers(); got != nil {
		t.Fatalf("a purged job has the versions %v", got)
	}
	snap := s.Snapshot()
	if j := snap.JobOf(snap.Alloc("a1")); j == nil || j.Version != 2 || j.Meta["v"] != "2" {
		t.Fatalf("the allocation's job is %+v", j)
	}
	s.write(func(tx *Txn) { tx.UpsertJob(web("new"), nil, 2) })
	for i := range 3 {
		s.write(func(tx *Txn) { tx.UpsertJob(web(fmt.Sprint("new", i)), nil, 2) })
	}
	snap = s.Snapshot()
	if j := snap.JobOf(snap.Alloc("a1")); j == nil || j.Meta["v"] != "2" {
		t.Fatalf("after the job came again the old allocation runs %+v", j)
	}
	s.write(func(tx *Txn) { tx.DeleteAlloc("a1") })
	n := 0
	for range each[*model.Job](s.Snapshot(), TableJobVersions, byID) {
		n++
	}
	if n != 2 {
		t.Fatalf("%d versions are left", n)
	}
}

// A blocking query answers when what it read has changed, not before, and when its time is over with what it has.
func TestBlocking(t *testing.T) {
	s := newTester(t)
	s.write(func(tx *Txn) { tx.UpsertJob(web("1"), nil, 6) })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var runs int
	var index uint64
	query := func(snap *Snapshot) (uint64, error) {
		runs++
		if j := snap.Job("default", "web"); j != nil {
			index = j.JobModifyIndex
		}
		return index, nil
	}
	if err := s.Blocking(ctx, 0, query); err != nil || runs != 1 || index != 2 {
		t.Fatalf("index 0: %v, %d runs, index %d", err, runs, index)
	}
	done := make(chan error, 1)
	started := make(chan struct{}, 10)
	go func() {
		done <- s.Blocking(ctx, index, func(snap *Snapshot) (uint64, error) {
			defer func() { started <- struct{}{} }()
			return query(snap)
		})
	}()
	<-started
	s.write(func(tx *Txn) { tx.UpsertNamespace(&model.Namespace{Name: "other"}) })
	select {
	case err := <-done:
		t.Fatalf("woken by a change of something else: %v", err)
	default:
	}
	want := s.write(func(tx *Txn) { tx.UpsertJob(web("2"), nil, 6) })
	if err := <-done; err != nil || index != want {
		t.Fatalf("after the change: %v, index %d, want %d", err, index, want)
	}
	short, stop := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer stop()
	runs = 0
	if err := s.Blocking(short, index, query); err != nil || runs == 0 {
		t.Fatalf("time over: %v, %d runs", err, runs)
	}
	broken := errors.New("broken")
	if err := s.Blocking(ctx, 5, func(*Snapshot) (uint64, error) { return 0, broken }); err != broken {
		t.Fatalf("the query's error is %v", err)
	}
}

// A query that waits notices a restore.
func TestBlockingOverRestore(t *testing.T) {
	s := newTester(t)
	s.write(func(tx *Txn) { tx.UpsertJob(web("1"), nil, 6) })
	var saved bytes.Buffer
	if err := s.Snapshot().Persist(&saved); err != nil {
		t.Fatal(err)
	}
	other := newTester(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	started, done := make(chan struct{}, 10), make(chan error, 1)
	go func() {
		done <- other.Blocking(ctx, 1, func(snap *Snapshot) (uint64, error) {
			defer func() { started <- struct{}{} }()
			return snap.TableIndex(TableJobs), nil
		})
	}()
	<-started
	if err := other.Restore(&saved); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || ctx.Err() != nil {
		t.Fatalf("after the restore: %v, %v", err, ctx.Err())
	}
}

// Events come in order; a reader can start in the past, and is told when it missed some.
func TestEvents(t *testing.T) {
	s := newTester(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	sub := s.Events(0)
	for i := range 3 {
		s.write(func(tx *Txn) { tx.UpsertJob(web(fmt.Sprint(i)), nil, 6) })
	}
	for want := uint64(2); want <= 4; want++ {
		b, err := sub.Next(ctx)
		if err != nil || b.Index != want || b.Events[0].Topic != TopicJob || b.Events[0].Key != "web" || b.Events[0].Type != "Test" {
			t.Fatalf("got %+v, %v, want index %d", b, err, want)
		}
	}
	past := s.Events(3)
	if b, err := past.Next(ctx); err != nil || b.Index != 3 {
		t.Fatalf("from index 3: %+v, %v", b, err)
	}
	slow := s.Events(2)
	for i := range 5 {
		s.write(func(tx *Txn) { tx.UpsertJob(web(fmt.Sprint("x", i)), nil, 6) })
	}
	if _, err := slow.Next(ctx); !errors.Is(err, ErrBehind) {
		t.Fatalf("a slow reader: %v", err)
	}
	waiting := s.Events(0)
	got := make(chan error, 1)
	go func() { _, err := waiting.Next(ctx); got <- err }()
	var saved bytes.Buffer
	if err := s.Snapshot().Persist(&saved); err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(&saved); err != nil {
		t.Fatal(err)
	}
	if err := <-got; !errors.Is(err, ErrRestored) {
		t.Fatalf("over a restore: %v", err)
	}
}

// A node's feed holds what servers changed since it was read, each allocation once, and not what the node itself said.
func TestNodeFeed(t *testing.T) {
	s := newTester(t)
	s.write(func(tx *Txn) { tx.UpsertJob(web("1"), nil, 6) })
	s.place(alloc("a1"))
	feed, snap := s.NodeFeed("n1")
	defer feed.Close()
	if got := snap.AllocsByNode("n1"); len(got) != 1 || got[0].ID != "a1" {
		t.Fatalf("the first set is %v", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s.write(func(tx *Txn) {
		tx.UpdateAllocsFromNode("n1", []*model.Allocation{{ID: "a1", ClientStatus: model.AllocClientRunning}})
	})
	s.place(alloc("a3"))
	s.place(alloc("a2"))
	other := alloc("b1")
	other.NodeID = "n2"
	s.place(other)
	yes := true
	s.write(func(tx *Txn) { tx.SetTransition([]string{"a2"}, model.DesiredTransition{Migrate: &yes}) })
	s.write(func(tx *Txn) { tx.DeleteAlloc("a1") })
	c, err := feed.Next(ctx)
	if err != nil || len(c.Allocs) != 2 || c.Allocs[0].ID != "a2" || c.Allocs[1].ID != "a3" || !slices.Equal(c.Removed, []string{"a1"}) || c.Index != s.index {
		t.Fatalf("got %+v, %v", c, err)
	}
	if m := c.Allocs[0].DesiredTransition.Migrate; m == nil || !*m {
		t.Fatal("the allocation is not the newest")
	}
	soon, stop := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer stop()
	if c, err := feed.Next(soon); err == nil {
		t.Fatalf("nothing changed and the feed gives %+v", c)
	}
}

// What a node says of another node's allocations does not count.
func TestForeignUpdate(t *testing.T) {
	s := newTester(t)
	s.write(func(tx *Txn) { tx.UpsertJob(web("1"), nil, 6) })
	s.place(alloc("a1"))
	s.write(func(tx *Txn) {
		if c := tx.UpdateAllocsFromNode("n2", []*model.Allocation{{ID: "a1", ClientStatus: model.AllocClientFailed}}); c != nil {
			t.Errorf("changed %+v", c)
		}
	})
	if got := s.Snapshot().Alloc("a1").ClientStatus; got != model.AllocClientPending {
		t.Fatalf("status is %s", got)
	}
}

// A snapshot that is damaged anywhere is refused and changes nothing.
func TestRestoreRefuses(t *testing.T) {
	s := newTester(t)
	s.write(func(tx *Txn) { tx.UpsertJob(web("1"), nil, 6) })
	s.place(alloc("a1"))
	var saved bytes.Buffer
	if err := s.Snapshot().Persist(&saved); err != nil {
		t.Fatal(err)
	}
	good := saved.Bytes()
	other := newTester(t)
	other.write(func(tx *Txn) { tx.UpsertNamespace(&model.Namespace{Name: "kept"}) })
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 0x55
		if err := other.Restore(bytes.NewReader(bad)); err == nil {
			t.Fatalf("byte %d of %d was changed and nobody noticed", i, len(good))
		}
		if err := other.Restore(bytes.NewReader(good[:i])); err == nil {
			t.Fatalf("only %d of %d bytes were there and nobody noticed", i, len(good))
		}
	}
	if other.Snapshot().Namespace("kept") == nil || other.Snapshot().Job("default", "web") != nil {
		t.Fatal("a refused snapshot changed the state")
	}
	if c, err := CheckSnapshot(bytes.NewReader(good)); err != nil || c.Index != s.index {
		t.Fatalf("the good one: %+v, %v", c, err)
	}
}
