package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// partition are the two groups below which tasks run: those with cores of their own, and those that share the rest.
type partition struct{ root, share, reserve string }

func (m *Manager) partition() partition {
	if m.version == 1 {
		root := filepath.Join(mount, "cpuset", m.parent)
		return partition{root, filepath.Join(root, "share"), filepath.Join(root, "reserve")}
	}
	root := filepath.Join(mount, m.parent)
	return partition{root, filepath.Join(root, "share.slice"), filepath.Join(root, "reserve.slice")}
}

// settle gives the tasks without cores of their own all cores but those that others have. What is reserved is read from
// the groups that exist, so it is right after a restart of the agent too. When nothing would be left, they keep all: the
// scheduler has no compute left for them then, and a group without a core lets nothing run.
func (p partition) settle() error {
	if _, err := os.Stat(p.share); errors.Is(err, fs.ErrNotExist) {
		return nil // no such task has come yet; its start settles this again
	}
	all, err := coresOf(p.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no cpuset controller: cores cannot be kept apart
	}
	if err != nil {
		return err
	}
	taken := map[int]bool{}
	groups, err := os.ReadDir(p.reserve)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, g := range groups {
		if !g.IsDir() {
			continue
		}
		cores, err := readCores(filepath.Join(p.reserve, g.Name(), "cpuset.cpus"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it went meanwhile
		}
		if err != nil {
			return err
		}
		for _, c := range cores {
			taken[c] = true
		}
	}
	rest := slices.DeleteFunc(slices.Clone(all), func(c int) bool { return taken[c] })
	if len(rest) == 0 {
		rest = all
	}
	file := filepath.Join(p.share, "cpuset.cpus")
	if have, err := readCores(file); err == nil && slices.Equal(have, rest) {
		return nil
	}
	if err := os.WriteFile(file, []byte(writeCores(rest)), 0); err != nil {
		return fmt.Errorf("cores of tasks that reserve none: %w", err)
	}
	return nil
}

// coresOf are the cores that a group may use: its own, or what is above it lets through.
func coresOf(dir string) ([]int, error) {
	cores, err := readCores(filepath.Join(dir, "cpuset.cpus.effective")) // version 2
	if errors.Is(err, fs.ErrNotExist) {
		return readCores(filepath.Join(dir, "cpuset.cpus"))
	}
	return cores, err
}

func readCores(file string) ([]int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseCores(strings.TrimSpace(string(b)))
}

// parseCores reads the kernel's form, such as "0-3,8".
func parseCores(text string) ([]int, error) {
	var out []int
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err := strconv.Atoi(low)
		to, err2 := strconv.Atoi(high)
		if err = errors.Join(err, err2); err != nil || from < 0 || to < from || to > 1<<16 {
			return nil, fmt.Errorf("%q is no list of cores", text)
		}
		for c := from; c <= to; c++ {
			out = append(out, c)
		}
	}
	return out, nil
}

func writeCores(cores []int) string {
	text := make([]string, len(cores))
	for i, c := range cores {
		text[i] = strconv.Itoa(c)
	}
	return strings.Join(text, ",")
}
