package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUntouched(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for name, c := range map[string]struct {
		change func(dir string) error
		ok     bool
	}{
		"as made":        {func(string) error { return nil }, true},
		"with a file":    {func(dir string) error { return os.WriteFile(filepath.Join(dir, "f"), nil, 0o600) }, false},
		"for all":        {func(dir string) error { return os.Chmod(dir, 0o755) }, false},
		"somebody's":     {func(dir string) error { return os.Chown(dir, nobody, nobody) }, false},
		"a link to /etc": {func(dir string) error { os.Remove(dir); return os.Symlink("/etc", dir) }, false},
		"gone":           {os.Remove, false},
	} {
		dir, err := os.MkdirTemp(t.TempDir(), ".fetch-")
		if err == nil {
			err = c.change(dir)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := untouched(dir); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
