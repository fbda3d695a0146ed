package qemu

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func fakeEmulators(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindEmulators(t *testing.T) {
	none := fakeEmulators(t, "other")
	first := fakeEmulators(t, "qemu-system-x86_64", "qemu-system-aarch64", "qemu-img")
	second := fakeEmulators(t, "qemu-system-i386")
	if err := os.WriteFile(filepath.Join(first, "qemu-system-notes"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", strings.Join([]string{"relative", none, first, second}, string(filepath.ListSeparator)))
	list := findEmulators()
	if len(list) != 2 || list[0].Name != "aarch64" || list[1].Path != filepath.Join(first, "qemu-system-x86_64") {
		t.Fatalf("found %+v", list)
	}
	if left := permitted(list, []string{"qemu-system-x86_64", "i386"}); len(left) != 1 || left[0].Name != "x86_64" {
		t.Fatalf("permitted %+v", left)
	}
	if _, err := pick(list, "mips"); err == nil || !strings.Contains(err.Error(), "aarch64, x86_64") {
		t.Fatal(err)
	}
	t.Setenv("PATH", none)
	if _, err := pick(findEmulators(), "x86_64"); err != errNoQEMU {
		t.Fatal(err)
	}
}

// An emulator is started when it is met and when it was replaced.
func TestVersions(t *testing.T) {
	e := emulator{Name: "x86_64", Path: filepath.Join(t.TempDir(), "qemu")}
	asked := 0
	v := versions{ask: func(_ context.Context, path string) (string, error) {
		asked++
		text, err := os.ReadFile(path)
		return string(text), err
	}}
	for i, c := range []struct{ text, want string }{
		{"QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright", "7.2.22"},
		{"QEMU emulator version 10.0.0", "10.0.0"},
	} {
		if err := os.WriteFile(e.Path, []byte(c.text), 0o755); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if got, err := v.of(t.Context(), e); err != nil || got != c.want {
				t.Fatalf("got %q %v, want %q", got, err, c.want)
			}
		}
		if asked != i+1 {
			t.Fatalf("asked %d times", asked)
		}
	}
	if err := os.WriteFile(e.Path, []byte("no such option\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := v.of(t.Context(), e); err == nil || !strings.Contains(err.Error(), "no such option") {
		t.Fatal(err)
	}
}
