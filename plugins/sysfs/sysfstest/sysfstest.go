//go:build linux

// Package sysfstest builds a machine's /sys and /dev in a directory of a test.
package sysfstest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/droverhq/drover/plugins/sysfs"
)

// New returns a machine without devices.
func New(t testing.TB) sysfs.Machine {
	t.Helper()
	dir := t.TempDir()
	m := sysfs.Machine{Sys: filepath.Join(dir, "sys"), Dev: filepath.Join(dir, "dev")}
	for _, d := range []string{m.Sys, m.Dev} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// Add puts a device on a bus: path is below /sys/devices, files are its one-line files by name, links lead to what they
// name. It returns the device's directory.
func Add(t testing.TB, m sysfs.Machine, bus, path string, files, links map[string]string) string {
	t.Helper()
	dir := filepath.Join(m.Sys, "devices", path)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(dir, 0o755))
	for name, text := range files {
		file := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(file), 0o755))
		must(os.WriteFile(file, []byte(text+"\n"), 0o600))
	}
	for name, target := range links {
		link := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(link), 0o755))
		must(os.Symlink(target, link))
	}
	if bus != "" {
		list := filepath.Join(m.Sys, "bus", bus, "devices")
		must(os.MkdirAll(list, 0o755))
		must(os.Symlink(dir, filepath.Join(list, filepath.Base(path))))
	}
	return dir
}

// File makes a file below /dev; that it is none of a device does not matter to those who only name it.
func File(t testing.TB, m sysfs.Machine, name string) {
	t.Helper()
	file := filepath.Join(m.Dev, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
