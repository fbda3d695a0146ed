//go:build linux

// Package sysfs reads what the kernel says about devices. Its roots can be moved, so that tests bring their own machine.
package sysfs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/sdk/attribute"
)

// Machine is where the kernel shows devices.
type Machine struct {
	Sys string // /sys
	Dev string // /dev
}

// Local is the machine that the plugin runs on.
func Local() Machine { return Machine{Sys: "/sys", Dev: "/dev"} }

// Text is the content of a one-line file in dir; "" when it cannot be read.
func Text(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(b)), "")
}

// LinkName is the last part of what a link in dir points to, such as the name of a device's driver; "" for none.
func LinkName(dir, name string) string {
	target, err := os.Readlink(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}

// Devices returns the directories of a bus in their order; none if the machine has no such bus.
func (m Machine) Devices(bus string) []string {
	root := filepath.Join(m.Sys, "bus", bus, "devices")
	entries, _ := os.ReadDir(root) // no such directory: no such bus
	var dirs []string
	for _, e := range entries {
		if dir, err := filepath.EvalSymlinks(filepath.Join(root, e.Name())); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// OfNumber is the directory of the device that a device file stands for; "" when sysfs does not show it.
func (m Machine) OfNumber(block bool, major, minor uint32) string {
	kind := "char"
	if block {
		kind = "block"
	}
	link := filepath.Join(m.Sys, "dev", kind, strconv.Itoa(int(major))+":"+strconv.Itoa(int(minor)))
	dir, err := filepath.EvalSymlinks(link)
	if err != nil {
		return ""
	}
	return dir
}

// Files are the device files of a device and of all that the kernel made of it (its disk, its terminal), sorted.
func (m Machine) Files(dir string) []string {
	var files []string
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error { // what vanishes meanwhile is left out
		if err != nil {
			return fs.SkipDir
		}
		if e.IsDir() || e.Name() != "uevent" {
			return nil
		}
		for line := range strings.Lines(Text(filepath.Dir(path), "uevent")) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVNAME="); ok && filepath.IsLocal(name) {
				files = append(files, filepath.Join(m.Dev, name))
			}
		}
		return nil
	})
	slices.Sort(files)
	return slices.Compact(files)
}

var pciAddress = regexp.MustCompile(`^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)

// PCIAddress is the address of the nearest PCI function that a device hangs on; "" for none.
func PCIAddress(dir string) string {
	for ; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		if name := filepath.Base(dir); pciAddress.MatchString(name) {
			return name
		}
	}
	return ""
}

// Common keeps the attributes that all of the devices of a group share: only those describe the group.
func Common(devices []map[string]attribute.Value) map[string]attribute.Value {
	out := map[string]attribute.Value{}
	for i, d := range devices {
		if i == 0 {
			for k, v := range d {
				out[k] = v
			}
			continue
		}
		for k, v := range out {
			if d[k] != v {
				delete(out, k)
			}
		}
	}
	return out
}

// SetText sets an attribute unless there is nothing to say.
func SetText(a map[string]attribute.Value, key, text string) {
	if text != "" {
		a[key] = attribute.Text(text)
	}
}

// SetInt sets an attribute from the text of a number, with a unit or "".
func SetInt(a map[string]attribute.Value, key, text, unit string) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		a[key] = attribute.Int(n, unit)
	}
}
