//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// config is the plugin block's config.
type config struct {
	Interval string  `config:"interval" default:"5s"` // between two looks
	Groups   []group `config:"device,block"`
}

// group is one kind of device.
type group struct {
	Vendor string `config:"vendor" default:"linux"`
	Type   string `config:"type,required"`
	Name   string `config:"name,required"`
	// Files are patterns of device files, absolute.
	Files []string `config:"files,required"`
	// Shared is how many tasks may have the same file at a time.
	Shared int `config:"shared" default:"1"`
	// Permissions of the task: some of r, w and m.
	Permissions string `config:"permissions" default:"rw"`
}

// mostShares bounds how often one file is offered.
const mostShares = 1000

func (g *group) id() string { return g.Vendor + "/" + g.Type + "/" + g.Name }

func (g *group) check() error {
	switch {
	case g.Vendor == "" || g.Type == "" || g.Name == "" || strings.Contains(g.Vendor+g.Type, "/"):
		return fmt.Errorf("device %s: vendor, type and name must not be empty, and vendor and type have no slash", g.id())
	case len(g.Files) == 0:
		return fmt.Errorf("device %s: files names no pattern", g.id())
	case g.Shared < 1 || g.Shared > mostShares:
		return fmt.Errorf("device %s: shared is %d, want 1 (one task at a time) to %d", g.id(), g.Shared, mostShares)
	case g.Permissions == "" || strings.Trim(g.Permissions, "rwm") != "":
		return fmt.Errorf("device %s: permissions are %q, want some of r, w and m", g.id(), g.Permissions)
	}
	for _, p := range g.Files {
		if _, err := filepath.Match(p, ""); err != nil || !filepath.IsAbs(p) || filepath.Clean(p) != p {
			return fmt.Errorf("device %s: %q is not the absolute path or pattern of device files", g.id(), p)
		}
	}
	return nil
}
