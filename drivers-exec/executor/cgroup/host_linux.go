package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Host is where this machine's hierarchies are.
type Host struct {
	// Unified is the mount point of version 2, or empty.
	Unified string
	// Controllers are those that version 2 has here.
	Controllers []string
	// V1 are the mount points of version 1 by controller.
	V1 map[string]string
}

// Detect reads the mounts of this process.
func Detect() (Host, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Host{}, fmt.Errorf("find cgroups: %w", err)
	}
	defer f.Close()
	h, err := parse(f)
	if err != nil || h.Unified == "" {
		return h, err
	}
	text, err := os.ReadFile(filepath.Join(h.Unified, "cgroup.controllers"))
	if err != nil {
		return h, fmt.Errorf("find cgroup controllers: %w", err)
	}
	h.Controllers = strings.Fields(string(text))
	return h, nil
}

// parse reads mountinfo, whose fields after " - " are type, source and options.
func parse(r io.Reader) (Host, error) {
	h := Host{V1: map[string]string{}}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		left, right, ok := strings.Cut(lines.Text(), " - ")
		at, what := strings.Fields(left), strings.Fields(right)
		if !ok || len(at) < 5 || len(what) < 3 {
			continue
		}
		switch point := at[4]; what[0] {
		case "cgroup2":
			if h.Unified == "" {
				h.Unified = point
			}
		case "cgroup":
			for _, option := range strings.Split(what[2], ",") {
				if slices.Contains(controllers, option) && h.V1[option] == "" {
					h.V1[option] = point
				}
			}
		}
	}
	return h, lines.Err()
}

// controllers are those of version 1 that tasks are put into.
var controllers = []string{"freezer", "memory", "cpu", "cpuacct", "cpuset", "pids", "devices"}

// Version says in words what there is: "2", "1", "1 and 2" or "none".
func (h Host) Version() string {
	switch {
	case h.pure():
		return "2"
	case h.Unified != "" && len(h.V1) > 0:
		return "1 and 2"
	case len(h.V1) > 0:
		return "1"
	case h.Unified != "":
		return "2"
	default:
		return "none"
	}
}

// pure reports whether version 2 has the controllers.
func (h Host) pure() bool { return h.Unified != "" && len(h.V1) == 0 }

// Usable says why groups cannot be made here, or nil.
func (h Host) Usable() error {
	base := h.treeBase()
	if base == "" {
		return errors.New("no cgroup hierarchy is mounted")
	}
	dir := filepath.Join(base, Parent)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("cgroups cannot be made: %w", err)
	}
	probe, err := os.MkdirTemp(dir, ".probe")
	if err != nil {
		return fmt.Errorf("cgroups cannot be made: %w", err)
	}
	return os.Remove(probe)
}

// treeBase is the hierarchy that holds tasks' processes.
func (h Host) treeBase() string {
	if h.Unified != "" {
		return h.Unified
	}
	return h.V1["freezer"]
}
