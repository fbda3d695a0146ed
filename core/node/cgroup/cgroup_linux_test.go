package cgroup

import (
	"os"
	"path/filepath"
	"testing"
)

// A group that another start made but has not filled yet is filled, one that has processors is left alone.
func TestInheritFillsEmptyGroups(t *testing.T) {
	root := t.TempDir()
	write := func(dir, cpus string) string {
		path := filepath.Join(root, dir)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := os.WriteFile(filepath.Join(path, f), []byte(cpus), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	top, empty, chosen := write("", "0-3\n"), write("a", "\n"), write("a/b", "2\n")
	if err := inherit(top, empty, chosen); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{empty: "0-3\n", chosen: "2\n"} {
		if got, _ := os.ReadFile(filepath.Join(dir, "cpuset.cpus")); string(got) != want {
			t.Errorf("%s has %q, want %q", dir, got, want)
		}
	}
}
