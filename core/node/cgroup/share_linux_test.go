package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestTheRestIsShared(t *testing.T) {
	root := t.TempDir()
	p := partition{root, filepath.Join(root, "share"), filepath.Join(root, "reserve")}
	cpus := func(dir, list string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cpuset.cpus"), []byte(list), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cpus(root, "0-3,8\n")
	if err := p.settle(); err != nil {
		t.Fatal("nobody shares yet:", err)
	}
	cpus(p.share, "0-3,8\n")
	for _, step := range []struct {
		what string
		do   func()
		want []int
	}{
		{"nothing reserved", func() {}, []int{0, 1, 2, 3, 8}},
		{"two cores", func() { cpus(filepath.Join(p.reserve, "a.t"), "1,8") }, []int{0, 2, 3}},
		{"two more", func() { cpus(filepath.Join(p.reserve, "b.t"), "2-3\n") }, []int{0}},
		{"all", func() { cpus(filepath.Join(p.reserve, "c.t"), "0") }, []int{0, 1, 2, 3, 8}},
		{"some are back", func() { os.RemoveAll(filepath.Join(p.reserve, "b.t")); os.RemoveAll(filepath.Join(p.reserve, "c.t")) }, []int{0, 2, 3}},
	} {
		step.do()
		if err := p.settle(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if got, err := readCores(filepath.Join(p.share, "cpuset.cpus")); err != nil || !slices.Equal(got, step.want) {
			t.Errorf("%s: %v, %v, want %v", step.what, got, err, step.want)
		}
	}
}

func TestParseCores(t *testing.T) {
	for text, want := range map[string][]int{"": nil, "3": {3}, "0-2,5": {0, 1, 2, 5}} {
		if got, err := parseCores(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"a", "3-1", "-1", "1,,2", "0-99999999999"} {
		if got, err := parseCores(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
