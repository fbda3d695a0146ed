package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs"
	"github.com/opencontainers/cgroups/fs2"
)

// Create makes the groups of a task and sets their limits. given is the
// directory the host prepared for the task, or empty: in version 2 the task
// runs in it, in version 1 it is the cpuset. Groups that exist are taken as
// they are, so that a start can be repeated. On failure empty ones are removed.
func (h Host) Create(name string, limits Limits, given string) (g Group, err error) {
	defer func() {
		if err != nil {
			_ = g.Remove()
		}
	}()
	defer func() {
		if err == nil && limits.Devices != nil {
			err = h.limitDevices(g, limits.Devices)
		}
	}()
	parent := h.parent(given)
	switch {
	case h.pure() && strings.HasPrefix(given, h.Unified+"/"):
		if _, err := os.Stat(given); err != nil {
			return g, fmt.Errorf("cgroup given by the host: %w", err)
		}
		g = Group{Tree: given, Given: []string{given}}
	default:
		g = Group{Tree: filepath.Join(h.treeBase(), parent, name)}
	}
	if h.pure() {
		return g, h.createUnified(g, limits)
	}
	if err := mkdir(g.Tree); err != nil {
		return g, err
	}
	g.V1 = map[string]string{}
	if h.V1["devices"] != "" && limits.Devices != nil {
		g.V1["devices"] = filepath.Join(h.V1["devices"], parent, name)
	}
	if !limits.metered() && given == "" {
		return g, nil
	}
	for _, controller := range []string{"memory", "cpu", "pids"} {
		if h.V1[controller] != "" && limits.metered() {
			g.V1[controller] = filepath.Join(h.V1[controller], parent, name)
		}
	}
	switch cpuset := h.V1["cpuset"]; {
	case cpuset != "" && strings.HasPrefix(given, cpuset+"/"):
		g.V1["cpuset"] = given
		g.Given = append(g.Given, given)
	case cpuset != "" && limits.CPUs != "":
		g.V1["cpuset"] = filepath.Join(cpuset, parent, name)
	}
	return g, h.limitV1(g, limits, parent)
}

// parent is the directory in each hierarchy that groups are made in: that of the operator, as far as the directory that
// the host prepared tells it, see core's node/cgroup: <parent>/share or <parent>/reserve/<task>, in version 2
// <parent>/share.slice/<task> or <parent>/reserve.slice/<task>.
func (h Host) parent(given string) string {
	for _, base := range []string{h.V1["cpuset"], h.Unified} {
		below, ok := strings.CutPrefix(given, base+"/")
		if base == "" || !ok {
			continue
		}
		up := filepath.Dir(below)
		switch filepath.Base(up) {
		case "reserve", "share.slice", "reserve.slice":
			up = filepath.Dir(up)
		default:
			if filepath.Base(below) != "share" {
				continue
			}
		}
		if up != "." {
			return up
		}
	}
	return Parent
}

// mkdir makes a group and, once per boot, its parents.
func mkdir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	return nil
}

// createUnified makes a version 2 group with the controllers it needs.
func (h Host) createUnified(g Group, limits Limits) error {
	r := limits.resources()
	r.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(limits.CPUShares)
	c := &cgroups.Cgroup{Resources: r}
	if len(g.Given) == 0 {
		// Also without limits: the controllers measure.
		if err := fs2.CreateCgroupPath(g.Tree, c); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
	}
	if !limits.metered() {
		return nil
	}
	m, err := fs2.NewManager(c, g.Tree)
	if err == nil {
		err = m.Set(r)
	}
	if err != nil {
		return fmt.Errorf("limit cgroup %s: %w", g.Tree, err)
	}
	return nil
}

// limitV1 makes and limits the groups of version 1.
func (h Host) limitV1(g Group, limits Limits, parent string) error {
	own := map[string]string{}
	for controller, dir := range g.V1 {
		if controller != "devices" && !g.given(dir) {
			own[controller] = dir
		}
	}
	r := limits.resources()
	if len(g.Given) > 0 {
		r.CpusetCpus = "" // the host has set the cores of its group
	}
	m, err := fs.NewManager(&cgroups.Cgroup{Resources: r, Path: parent}, own)
	if err == nil {
		err = m.Apply(-1) // makes the directories and moves nobody
	}
	if err == nil {
		err = m.Set(r)
	}
	if err != nil {
		return fmt.Errorf("limit cgroup %s: %w", filepath.Base(g.Tree), err)
	}
	return nil
}

// resources are the limits as the library takes them.
func (l Limits) resources() *cgroups.Resources {
	r := &cgroups.Resources{
		Memory:            l.Memory,
		MemoryReservation: l.Reservation,
		CpusetCpus:        l.CPUs,
		SkipDevices:       true,
	}
	if l.CPUShares > 0 {
		r.CpuShares = max(l.CPUShares, 2)
	}
	if l.PIDs > 0 {
		r.PidsLimit = &l.PIDs
	}
	if l.Memory > 0 && swapAccounted() {
		r.MemorySwap = l.Memory
	}
	return r
}

// swapAccounted reports whether memory and swap can be limited together.
func swapAccounted() bool {
	for _, file := range []string{"/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", "/sys/fs/cgroup/cgroup.controllers"} {
		if _, err := os.Stat(file); err == nil {
			return true
		}
	}
	return false
}

// Remove removes the groups, which must be empty. Missing ones are fine.
func (g Group) Remove() error {
	var failed []error
	for _, dir := range g.dirs() {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = append(failed, fmt.Errorf("remove cgroup: %w", err))
		}
	}
	return errors.Join(failed...)
}

// dirs are the directories that are ours.
func (g Group) dirs() []string {
	var list []string
	for _, dir := range append(g.v1(), g.Tree) {
		if dir != "" && !g.given(dir) {
			list = append(list, dir)
		}
	}
	return list
}

func (g Group) given(dir string) bool {
	for _, d := range g.Given {
		if d == dir {
			return true
		}
	}
	return false
}

func (g Group) v1() []string {
	var list []string
	for _, dir := range g.V1 {
		list = append(list, dir)
	}
	return list
}

// Override is a group of directories that the operator named for a task. They
// are neither made nor removed, and nobody is killed in them.
func Override(unified string, v1 map[string]string) Group {
	g := Group{Tree: unified, V1: v1, Shared: true}
	g.Given = append(g.v1(), unified)
	return g
}

// Enter returns how a process gets into the group: the version 2 directory it
// is born in, and version 1 directories that it enters before it runs.
func (g Group) Enter() (born string, join []string) {
	if g.Tree != "" && isUnified(g.Tree) {
		return g.Tree, g.v1()
	}
	if g.Tree != "" {
		join = append(join, g.Tree)
	}
	return "", append(join, g.v1()...)
}

// isUnified tells a directory of version 2 by a file that only those have.
func isUnified(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "cgroup.controllers"))
	return err == nil
}
