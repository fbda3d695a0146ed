package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// PIDs returns the processes in the group and below it.
func (g Group) PIDs() ([]int, error) {
	var pids []int
	err := filepath.WalkDir(g.Tree, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		for _, f := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return err
	})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil, nil
	}
	return pids, err
}

// Kill ends every process in the group and returns when none is left, or when
// ctx ends.
func (g Group) Kill(ctx context.Context) error {
	if g.Tree == "" || g.Shared {
		return nil
	}
	// Most groups are empty by now. In version 2 a written cgroup.kill would
	// moreover stay in force on some kernels.
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		pids, err := g.PIDs()
		if err != nil || len(pids) == 0 {
			return err
		}
		if err := g.killOnce(pids); err != nil {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("%d processes in cgroup %s do not end: %w", len(pids), g.Tree, ctx.Err())
		}
	}
}

// killOnce sends SIGKILL to all at once, so that none can fork away.
func (g Group) killOnce(pids []int) error {
	err := os.WriteFile(filepath.Join(g.Tree, "cgroup.kill"), []byte("1"), 0)
	if err == nil {
		return nil
	}
	freezer := filepath.Join(g.Tree, "freezer.state")
	frozen := os.WriteFile(freezer, []byte("FROZEN"), 0) == nil
	if frozen {
		defer os.WriteFile(freezer, []byte("THAWED"), 0)
		if pids, err = g.PIDs(); err != nil {
			return err
		}
	}
	for _, pid := range pids {
		g.killMember(pid)
	}
	return nil
}

// killMember ends a process if it still is in the group: the pid may have been
// given to another process since it was read.
func (g Group) killMember(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err == nil && listed(string(text), filepath.Base(g.Tree)) {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}

// listed reports whether one of a process' groups has a name, which is a
// task's and so says enough: a group inside it counts as well.
func listed(cgroups, name string) bool {
	for line := range strings.Lines(cgroups) {
		if strings.Contains(strings.TrimSpace(line)+"/", "/"+name+"/") {
			return true
		}
	}
	return false
}

// OOMKills returns how many processes of the group the kernel ended for want
// of memory: the group's own, see [Group.LimitReached], or everybody's.
func (g Group) OOMKills() int {
	file := filepath.Join(g.Tree, "memory.events")
	if dir := g.V1["memory"]; dir != "" {
		file = filepath.Join(dir, "memory.oom_control")
	}
	return int(OOMKillsIn(file))
}

// LimitReached reports whether the group ever came to its own memory limit. If
// not, and processes were ended for want of memory, it was the machine that had
// none left, or a group above. Version 1 knows only the most that was used, so
// that a group that came to its limit once, also with what could be freed
// again, is always said to have. (Its failcnt stays 0 on newer kernels.)
func (g Group) LimitReached() bool {
	if dir := g.V1["memory"]; dir != "" {
		return full(dir, "memory.") || full(dir, "memory.memsw.")
	}
	events := keyed(filepath.Join(g.Tree, "memory.events"))
	_, counted := events["oom_kill"]
	return events["oom"] > 0 || !counted
}

// full reports whether a version 1 group's use came so near to its limit that
// the next piece of memory, which is 32 KiB at most, may have been too much.
func full(dir, kind string) bool {
	most, known := number(filepath.Join(dir, kind+"max_usage_in_bytes"))
	limit, limited := number(filepath.Join(dir, kind+"limit_in_bytes"))
	return known && limited && most+1<<20 > limit
}
