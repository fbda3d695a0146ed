//go:build linux

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/plugins/sysfs"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/plugin"
)

// host offers device files.
type host struct {
	machine sysfs.Machine

	mu       sync.Mutex
	interval time.Duration
	groups   []group
}

var (
	_ device.Device                  = (*host)(nil)
	_ device.WithConfig              = (*host)(nil)
	_ device.WithFingerprintInterval = (*host)(nil)
)

func (h *host) Config() plugin.ConfigHandler { return plugin.Configure(h.configure) }

func (h *host) configure(_ context.Context, c *plugin.Configuration[config]) error {
	every, err := time.ParseDuration(c.Config.Interval)
	if err != nil || every < 100*time.Millisecond {
		return fmt.Errorf("interval is %q, want a duration of at least 100ms", c.Config.Interval)
	}
	seen := map[string]bool{}
	for _, g := range c.Config.Groups {
		if err := g.check(); err != nil {
			return err
		}
		if seen[g.id()] {
			return fmt.Errorf("device %s is there twice; put all its files into one block", g.id())
		}
		seen[g.id()] = true
	}
	if c.Node == nil {
		return nil // only checked
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.interval, h.groups = every, c.Config.Groups
	return nil
}

func (h *host) FingerprintInterval() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.interval
}

// Fingerprint looks for the files. A file belongs to the first block whose pattern it fits, so that no two groups give
// the same device away.
func (h *host) Fingerprint(context.Context) ([]device.Group, error) {
	h.mu.Lock()
	groups := h.groups
	h.mu.Unlock()
	taken := map[string]bool{}
	var found []device.Group
	for _, g := range groups {
		if d := h.look(g, taken); len(d.Devices) > 0 {
			found = append(found, d)
		}
	}
	return found, nil
}

func (h *host) look(g group, taken map[string]bool) device.Group {
	out := device.Group{Vendor: g.Vendor, Type: g.Type, Name: g.Name}
	var attributes []map[string]attribute.Value
	for _, path := range files(g.Files) {
		number, err := deviceNumber(path)
		if err != nil || taken[number.String()] {
			continue // not a device file, or the same device under another name
		}
		taken[number.String()] = true
		dir := h.machine.OfNumber(number.block, number.major, number.minor)
		attributes = append(attributes, describe(dir, number))
		for share := range g.Shared {
			out.Devices = append(out.Devices, device.Instance{ID: shareID(path, share), Healthy: true, PCIBusID: sysfs.PCIAddress(dir)})
		}
	}
	out.Attributes = sysfs.Common(attributes)
	return out
}

// files are what patterns stand for, sorted, each once.
func files(patterns []string) []string {
	var all []string
	for _, p := range patterns {
		found, _ := filepath.Glob(p) // the pattern has been checked
		all = append(all, found...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// shareID names a file, or one share of it: the first is the file's path itself.
func shareID(path string, share int) string {
	if share == 0 {
		return path
	}
	return path + "#" + strconv.Itoa(share)
}

func fileOf(id string) string {
	path, _, _ := strings.Cut(id, "#")
	return path
}

// number is what a device file stands for.
type number struct {
	block        bool
	major, minor uint32
}

func (n number) String() string { return fmt.Sprintf("%t %d:%d", n.block, n.major, n.minor) }

// deviceNumber fails for files that are no device files.
func deviceNumber(path string) (number, error) {
	st, err := os.Stat(path)
	if err != nil {
		return number{}, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if st.Mode()&fs.ModeDevice == 0 || !ok {
		return number{}, fmt.Errorf("%s is not a device file", path)
	}
	rdev := uint64(sys.Rdev)
	return number{block: st.Mode()&fs.ModeCharDevice == 0, major: unix.Major(rdev), minor: unix.Minor(rdev)}, nil
}

// describe says what sysfs knows of a device; dir may be empty.
func describe(dir string, n number) map[string]attribute.Value {
	a := map[string]attribute.Value{"major": attribute.Int(int64(n.major), "")}
	kind := "char"
	if n.block {
		kind = "block"
	}
	a["kind"] = attribute.Text(kind)
	if dir == "" {
		return a
	}
	sysfs.SetText(a, "subsystem", sysfs.LinkName(dir, "subsystem"))
	sysfs.SetText(a, "driver", sysfs.LinkName(dir, "device/driver"))
	sysfs.SetText(a, "vendor_name", sysfs.Text(dir, "device/vendor"))
	sysfs.SetText(a, "model", sysfs.Text(dir, "device/model"))
	sysfs.SetInt(a, "numa_node", sysfs.Text(dir, "device/numa_node"), "")
	if !n.block {
		return a
	}
	const sector = 512
	if sectors, err := strconv.ParseInt(sysfs.Text(dir, "size"), 10, 64); err == nil {
		a["size"] = attribute.Int(sectors*sector/(1<<20), "MiB")
	}
	a["read_only"] = attribute.Truth(sysfs.Text(dir, "ro") == "1")
	a["removable"] = attribute.Truth(sysfs.Text(dir, "removable") == "1")
	a["rotational"] = attribute.Truth(sysfs.Text(dir, "queue/rotational") == "1")
	return a
}

// Reserve gives the task the files under the paths that they have on the machine.
func (h *host) Reserve(_ context.Context, r *device.ReserveRequest) (*device.Reservation, error) {
	res := &device.Reservation{Env: map[string]string{}}
	var paths []string
	for _, id := range r.DeviceIDs {
		path := fileOf(id)
		g := h.groupOf(id)
		if g == nil {
			return nil, fmt.Errorf("device %q is none that this plugin offers", id)
		}
		if _, err := deviceNumber(path); err != nil {
			return nil, fmt.Errorf("device %s is gone: %w", id, err)
		}
		if slices.Contains(paths, path) {
			continue // two shares of one file
		}
		real, err := filepath.EvalSymlinks(path) // a name in /dev/serial/by-id is a link
		if err != nil {
			return nil, fmt.Errorf("device %s is gone: %w", id, err)
		}
		paths = append(paths, path)
		res.Devices = append(res.Devices, device.Node{TaskPath: path, HostPath: real, Permissions: g.Permissions})
	}
	res.Env["HOST_DEVICES"] = strings.Join(paths, ",")
	return res, nil
}

// groupOf is the group whose patterns an id fits; nil for none.
func (h *host) groupOf(id string) *group {
	path, share, isShare := strings.Cut(id, "#")
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.groups {
		g := &h.groups[i]
		if !slices.ContainsFunc(g.Files, func(p string) bool { ok, _ := filepath.Match(p, path); return ok }) {
			continue
		}
		if n, err := strconv.Atoi(share); isShare && (err != nil || n < 1 || n >= g.Shared) {
			return nil
		}
		return g
	}
	return nil
}
