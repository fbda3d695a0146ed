package consensus

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// A server whose group lost its majority for good leads again, with all it knew, when a file says who is left.
func TestPeersFile(t *testing.T) {
	dir := t.TempDir()
	r, _ := open(t, dir)
	if _, _, err := r.Apply(t.Context(), &Namespaces{Upsert: []*model.Namespace{{Name: "kept"}}}); err != nil {
		t.Fatal(err)
	}
	// Two more members that never existed: the change needs a majority that does not come.
	r.raft.AddVoter("two", "127.0.0.1:1", 0, 0)
	r.raft.AddVoter("three", "127.0.0.1:2", 0, 0)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again := func() (*Raft, *state.Store, error) {
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
		r, err := Open(Config{Dir: dir, ServerID: "one", Listener: mux.Raft(), Advertise: ln.Addr(), Store: store, Logger: hclog.NewNullLogger(), Timing: SingleTiming()})
		return r, store, err
	}
	path := filepath.Join(dir, PeersFile)
	for want, text := range map[string]string{
		"it is a list such as":         "{",
		"it does not name this server": `[{"id": "other", "address": "127.0.0.1:1"}]`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := again(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if err := os.WriteFile(path, []byte(`[{"id": "one", "address": "127.0.0.1:1"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	r, store, err := again()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lead(t, r)
	if store.Snapshot().Namespace("kept") == nil {
		t.Error("what was stored is gone")
	}
	servers, _, err := r.Servers()
	if err != nil || len(servers) != 1 || servers[0].ID != raft.ServerID("one") {
		t.Errorf("members: %v, %v", servers, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file would be read again: %v", err)
	}
	_, _, err = r.Apply(t.Context(), &Namespaces{Upsert: []*model.Namespace{{Name: "new"}}})
	if err != nil {
		t.Error(err)
	}
}
