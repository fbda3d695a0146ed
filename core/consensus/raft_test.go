package consensus

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// open starts a group of one on a directory and waits until it leads.
func open(t *testing.T, dir string) (*Raft, *state.Store) {
	t.Helper()
	store, err := state.New(state.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := rpc.NewMux(ln, hclog.NewNullLogger())
	go mux.Serve()
	t.Cleanup(func() { mux.Close() })
	timing := SingleTiming()
	timing.Snapshot = 50
	r, err := Open(Config{
		Dir: dir, ServerID: "one", Listener: mux.Raft(), Advertise: ln.Addr(), Bootstrap: true, Store: store,
		Logger: hclog.NewNullLogger(), Timing: timing,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	lead(t, r)
	return r, store
}

func lead(t *testing.T, r *Raft) {
	t.Helper()
	for {
		select {
		case leads := <-r.LeaderCh():
			if leads {
				if err := r.Barrier(context.Background()); err != nil {
					t.Fatal(err)
				}
				return
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no leader")
		}
	}
}

func namespace(name, text string) *Namespaces {
	return &Namespaces{Upsert: []*model.Namespace{{Name: name, Description: text}}}
}

// What was acknowledged is there after a restart, from a snapshot and from the log behind it.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	r, store := open(t, dir)
	for i := range 120 {
		index, _, err := r.Apply(context.Background(), namespace("ns", strings.Repeat("x", i)))
		if err != nil {
			t.Fatal(err)
		}
		if store.Index() < index {
			t.Fatal("the entry is acknowledged and not applied")
		}
	}
	want := store.Snapshot().Namespace("ns")
	if err := r.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Apply(context.Background(), namespace("last", "")); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	_, store = open(t, dir)
	got := store.Snapshot().Namespace("ns")
	if got == nil || got.Description != want.Description || got.ModifyIndex != want.ModifyIndex || store.Snapshot().Namespace("last") == nil {
		t.Fatalf("after the restart: %+v, want %+v", got, want)
	}
}

// An entry that applying refuses says why and changes nothing.
func TestRefusedEntry(t *testing.T) {
	r, store := open(t, "")
	_, _, err := r.Apply(context.Background(), &Namespaces{Upsert: []*model.Namespace{{Name: "new"}}, Delete: []string{"missing"}})
	if !errors.Is(err, rpc.ErrNotFound) || !strings.Contains(err.Error(), `"missing"`) {
		t.Fatalf("got %v", err)
	}
	if store.Snapshot().Namespace("new") != nil {
		t.Fatal("half of the entry was applied")
	}
}

// A directory has one user, and the refusal names it and the process; when that is gone the directory is free.
func TestLockDir(t *testing.T) {
	dir := t.TempDir()
	l, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = LockDir(dir)
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "process ") {
		t.Fatalf("a second lock: %v", err)
	}
	l.Unlock()
	if l, err = LockDir(dir); err != nil {
		t.Fatalf("after the first was given up: %v", err)
	}
	l.Unlock()
	if _, err := LockDir(filepath.Join(dir, "missing")); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Fatalf("a directory that is not there: %v", err)
	}
}

// On a full disk writes are refused with the reason, nothing that was acknowledged is lost, and all goes on when there
// is room again.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small disk")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("a small file system cannot be mounted: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount %s: %v: %s", dir, err, out)
		}
	})
	r, store := open(t, filepath.Join(dir, "raft"))
	t.Cleanup(func() { r.Close() })
	if _, _, err := r.Apply(context.Background(), namespace("before", "")); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	f.Close()

	var refused error
	acknowledged := 0
	for range 200 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, _, err := r.Apply(ctx, namespace("fill", strings.Repeat("x", 100<<10)))
		cancel()
		if err != nil {
			refused = err
			break
		}
		acknowledged++
	}
	if !errors.Is(refused, rpc.ErrExhausted) || !strings.Contains(refused.Error(), "no space left") || !strings.Contains(refused.Error(), dir) {
		t.Fatalf("after %d entries: %v", acknowledged, refused)
	}
	if r.DiskError() == nil {
		t.Fatal("the disk is full and nobody says so")
	}
	if store.Snapshot().Namespace("before") == nil {
		t.Fatal("reading does not work while the disk is full")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	give := time.Now().Add(20 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, _, err := r.Apply(ctx, namespace("after", ""))
		cancel()
		if err == nil {
			break
		}
		if time.Now().After(give) {
			t.Fatalf("with room again: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := r.DiskError(); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again, store := open(t, filepath.Join(dir, "raft"))
	t.Cleanup(func() { again.Close() })
	for _, name := range []string{"before", "after"} {
		if store.Snapshot().Namespace(name) == nil {
			t.Errorf("namespace %q was acknowledged and is lost", name)
		}
	}
}
