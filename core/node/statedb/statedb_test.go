package statedb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/sdk/driver"
)

func open(t *testing.T, dir string) (*Store, []error) {
	t.Helper()
	s, notes, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-s.stop:
		default:
			s.Close()
		}
	})
	return s, notes
}

func job(version uint64) *model.Job {
	return &model.Job{ID: "web", Namespace: "default", Version: version, JobModifyIndex: 10 + version,
		TaskGroups: []*model.TaskGroup{{Name: "g", Tasks: []*model.Task{{Name: "t", KillTimeout: 5 * time.Second, Config: map[string]any{"args": []any{"a", int64(7)}}}}}}}
}

func put(t *testing.T, s *Store, id string, version uint64) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.PutAlloc(&model.Allocation{ID: id, JobID: "web", Namespace: "default", TaskGroup: "g", Job: job(version)}))
	must(s.PutTask(id, "t", &Task{TaskID: id + "/t/1", Driver: "d", Generation: 3,
		Handle: &driver.TaskHandle{Version: 1, DriverState: []byte{0, 255}, Config: driver.TaskConfig{ID: id + "/t/1", Env: map[string]string{"A": "b"}}}}))
	must(s.PutState(id, "t", &model.TaskState{State: model.TaskRunning, StartedAt: time.Unix(5, 6).UTC()}))
	must(s.Flush(context.Background()))
}

func TestKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	s, notes := open(t, dir)
	if len(notes) > 0 {
		t.Fatalf("notes on a new file: %v", notes)
	}
	put(t, s, "a1", 1)
	put(t, s, "a2", 1)
	put(t, s, "a3", 2)
	s.DeleteAlloc("a3", []string{"t"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(filepath.Join(dir, fileName)); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", st.Mode())
	}

	s, _ = open(t, dir)
	allocs, orphans, notes := s.Load()
	if len(allocs) != 2 || len(orphans) != 0 || len(notes) != 0 {
		t.Fatalf("got %d allocs, orphans %v, notes %v", len(allocs), orphans, notes)
	}
	a := allocs[0]
	task := a.Tasks["t"]
	if a.Alloc.Job == nil || a.Alloc.Job.Group("g").Task("t").KillTimeout != 5*time.Second {
		t.Error("job lost")
	}
	if task == nil || string(task.Handle.DriverState) != "\x00\xff" || task.Handle.Config.Env["A"] != "b" || task.Generation != 3 {
		t.Errorf("task lost: %+v", task)
	}
	if st := a.States["t"]; st == nil || !st.StartedAt.Equal(time.Unix(5, 6)) {
		t.Errorf("state lost: %+v", st)
	}
	if records, _ := s.db.all(); len(records) != 1+3+3 {
		t.Errorf("%d records, want one job and three of each allocation", len(records))
	}
}

func TestSecondAgentIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	start := time.Now()
	_, _, err := Open(dir)
	if err == nil {
		t.Fatal("opened twice")
	}
	if want := fmt.Sprintf("process %d ", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not name the holder %q", err, want)
	}
	if waited := time.Since(start); waited < lockWait/2 || waited > 4*lockWait {
		t.Errorf("waited %v, want about %v", waited, lockWait)
	}
}

// However the file is damaged, the node goes on, the damaged file is kept, and the tasks are found again.
func TestDamagedFile(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"garbage":   func(p string) error { return os.WriteFile(p, []byte(strings.Repeat("no database ", 5000)), 0o600) },
		"empty":     func(p string) error { return os.Truncate(p, 0) },
		"truncated": func(p string) error { return os.Truncate(p, 5000) },
		"one page":  func(p string) error { return os.Truncate(p, 4096) },
		"metas zeroed": func(p string) error {
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt(make([]byte, 2*os.Getpagesize()), 0)
			return err
		},
		"pages overwritten": func(p string) error {
			st, err := os.Stat(p)
			if err != nil {
				return err
			}
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			from := int64(2 * os.Getpagesize())
			junk := []byte(strings.Repeat("\xde\xad\xbe\xef", int(st.Size()-from)/4))
			_, err = f.WriteAt(junk, from)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := open(t, dir)
			for i := range 40 {
				put(t, s, fmt.Sprintf("a%d", i), 1)
			}
			s.DeleteAlloc("a0", []string{"t"})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, fileName)
			if err := damage(path); err != nil {
				t.Fatal(err)
			}

			s, notes := open(t, dir)
			if len(notes) == 0 || !strings.Contains(notes[0].Error(), path+".corrupt-") {
				t.Errorf("notes do not say where the damaged file went: %v", notes)
			}
			if found, _ := filepath.Glob(path + ".corrupt-*"); len(found) != 1 {
				t.Errorf("damaged file not kept: %v", found)
			}
			allocs, orphans, _ := s.Load()
			if len(allocs) != 0 || len(orphans) != 39 {
				t.Fatalf("got %d allocations and %d salvaged tasks, want 0 and 39", len(allocs), len(orphans))
			}
			if h := orphans["a7"]["t"].Handle; h == nil || h.Config.ID != "a7/t/1" {
				t.Errorf("handle: %+v", h)
			}
			put(t, s, "b", 1) // and it works
		})
	}
}

// One wrong byte in one record costs that record only.
func TestDamagedRecord(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	put(t, s, "a1", 1)
	put(t, s, "a2", 1)
	err := s.db.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucket)
		v := append([]byte(nil), b.Get([]byte(stateKey("a1", "t")))...)
		v[3] ^= 1
		return b.Put([]byte(stateKey("a1", "t")), v)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s, _ = open(t, dir)
	allocs, _, notes := s.Load()
	if len(allocs) != 2 || len(notes) != 1 || !strings.Contains(notes[0].Error(), "a1") {
		t.Errorf("%d allocs, notes %v", len(allocs), notes)
	}
}

// A write that fails is reported to whoever flushes, stays queued and is made up for.
func TestFailedWriteIsRetried(t *testing.T) {
	s, _ := open(t, t.TempDir())
	s.db.db.Close()
	s.PutState("a1", "t", &model.TaskState{State: model.TaskDead})
	if err := s.Flush(context.Background()); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("flush on a closed file: %v", err)
	}
	if b, _ := s.get(stateKey("a1", "t")); b == nil {
		t.Error("what could not be written was dropped")
	}
	db, _, err := openFile(filepath.Dir(s.db.handles.dir))
	if err != nil {
		t.Fatal(err)
	}
	s.db.db = db.db
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if b, err := s.db.get(stateKey("a1", "t")); b == nil || err != nil {
		t.Errorf("not written: %v", err)
	}
}

func TestMemory(t *testing.T) {
	s := Memory()
	put(t, s, "a1", 1)
	task, err := s.Task("a1", "t")
	if err != nil || task.TaskID != "a1/t/1" {
		t.Errorf("%+v %v", task, err)
	}
	s.DeleteAlloc("a1", []string{"t"})
	if len(s.values) != 0 {
		t.Errorf("left: %d records", len(s.values))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
