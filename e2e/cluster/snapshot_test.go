package cluster

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// A saved state is what it says, is restored through any server, and is refused when it is cut off, damaged, something
// else or another cluster's.
func TestSnapshots(t *testing.T) {
	g := newGroup(t, 3)
	lead := g.mustLeader(0)
	follower := g.servers[g.other(lead)]
	if err := write(follower, "saved"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	saved := filepath.Join(dir, "state.snap")
	follower.MustCLI("operator", "snapshot", "save", saved)
	if out := follower.MustCLI("operator", "snapshot", "inspect", saved); !strings.Contains(out, "Cluster") || !strings.Contains(out, "namespaces") {
		t.Errorf("inspect:\n%s", out)
	}
	var state struct {
		Namespaces []struct{ Name string } `json:"namespaces"`
	}
	if err := json.Unmarshal([]byte(follower.MustCLI("operator", "snapshot", "state", saved)), &state); err != nil || len(state.Namespaces) != 2 {
		t.Errorf("state: %+v, %v", state, err)
	}
	if err := write(follower, "later"); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte(nil), whole...)
	damaged[len(damaged)/2] ^= 0x55
	other := harness.Start(t, harness.Options{NoRawExec: true, Server: "bootstrap_expect = 1"})
	foreign := filepath.Join(dir, "foreign.snap")
	other.MustCLI("operator", "snapshot", "save", foreign)
	another, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"cut off":            {whole[:len(whole)-30], "unexpected EOF"},
		"damaged":            {damaged, "the snapshot cannot be used"},
		"something else":     {[]byte("#!/bin/sh\necho hello, this is no snapshot\n"), "this is not a snapshot of Drover's state"},
		"empty":              {nil, "read the header"},
		"of another cluster": {another, "the snapshot is of another cluster"},
	} {
		path := filepath.Join(dir, "bad.snap")
		if err := os.WriteFile(path, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, errs, code := follower.CLI("operator", "snapshot", "restore", path); code == 0 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d, %s, want %q", name, code, errs, c.want)
		}
		if text, err := follower.Text("/v1/namespace/later"); err != nil {
			t.Errorf("%s: a refused snapshot changed the state: %s, %v", name, text, err)
		}
	}
	follower.MustCLI("operator", "snapshot", "restore", saved)
	for _, s := range g.servers {
		s.Eventually(time.Minute, "every server has the state that was saved", func() error {
			if err := s.Get("/v1/namespace/saved?stale", nil); err != nil {
				return err
			}
			if err := s.Get("/v1/namespace/later?stale", nil); err == nil {
				return os.ErrExist
			}
			return nil
		})
	}
	follower.Eventually(time.Minute, "the group goes on", func() error { return write(follower, "after") })
	other.MustCLI("operator", "snapshot", "restore", "-force", saved)
	other.Eventually(time.Minute, "the other cluster has the state", func() error { return other.Get("/v1/namespace/saved", nil) })
}
