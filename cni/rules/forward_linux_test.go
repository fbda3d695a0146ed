package rules

import (
	"os"
	"path/filepath"
	"testing"
)

// TestForwards: an empty list means that there is nothing, not that nobody could look.
func TestForwards(t *testing.T) {
	const list = `echo "-N CNI-FORWARD"; echo "-A CNI-FORWARD -s 10.1.2.3/32 -j ACCEPT"`
	for name, tc := range map[string]struct {
		script string // "" = there is no such program
		want   int
		fails  bool
	}{
		"no program":    {"", 0, false},
		"no chain":      {`echo "iptables: No chain/target/match by that name." >&2; exit 1`, 0, false},
		"no chain, nft": {"echo \"iptables v1.8.9 (nf_tables): chain \\`CNI-FORWARD' in table \\`filter' is incompatible, use 'nft' tool.\" >&2; exit 1", 0, false},
		"a rule":        {list, 1, false},
		"locked":        {`echo "Another app is currently holding the xtables lock." >&2; exit 4`, 0, true},
		"not allowed":   {`echo "Fatal: can't open lock file: Permission denied" >&2; exit 4`, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("PATH", dir)
			if tc.script != "" {
				if err := os.WriteFile(filepath.Join(dir, "iptables"), []byte("#!/bin/sh\n"+tc.script+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Forwards(t.Context())
			if len(got) != tc.want || (err != nil) != tc.fails {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
