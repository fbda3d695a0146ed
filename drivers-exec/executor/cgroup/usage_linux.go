package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Usage measures the group.
func (g Group) Usage() (u Usage) {
	g.cpu(&u)
	g.memory(&u)
	return u
}

// cpu reads times, which version 2 counts even where the controller is not in
// it, and the throttling of whichever version has the controller.
func (g Group) cpu(u *Usage) {
	throttled := keyed(filepath.Join(g.Tree, "cpu.stat"))
	if usec, ok := throttled["usage_usec"]; ok {
		u.CPU.Known = true
		u.CPU.Total, u.CPU.User, u.CPU.System = usec*1000, throttled["user_usec"]*1000, throttled["system_usec"]*1000
	} else if dir := g.V1["cpuacct"]; dir != "" {
		const tick = 10_000_000 // ns; the unit of cpuacct.stat is USER_HZ
		modes := keyed(filepath.Join(dir, "cpuacct.stat"))
		u.CPU.Total, u.CPU.Known = number(filepath.Join(dir, "cpuacct.usage"))
		u.CPU.User, u.CPU.System = modes["user"]*tick, modes["system"]*tick
	}
	if dir := g.V1["cpu"]; dir != "" {
		throttled = keyed(filepath.Join(dir, "cpu.stat"))
	}
	u.CPU.Periods, u.CPU.ThrottledTimes = throttled["nr_periods"], throttled["nr_throttled"]
	u.CPU.ThrottledTime = throttled["throttled_time"] + throttled["throttled_usec"]*1000
}

func (g Group) memory(u *Usage) {
	m := &u.Memory
	if dir := g.V1["memory"]; dir != "" {
		stat := keyed(filepath.Join(dir, "memory.stat"))
		m.Usage, m.Known = number(filepath.Join(dir, "memory.usage_in_bytes"))
		m.Max, _ = number(filepath.Join(dir, "memory.max_usage_in_bytes"))
		m.Kernel, _ = number(filepath.Join(dir, "memory.kmem.usage_in_bytes"))
		m.MaxKrn, _ = number(filepath.Join(dir, "memory.kmem.max_usage_in_bytes"))
		m.RSS, m.Cache, m.Swap = stat["total_rss"], stat["total_cache"], stat["total_swap"]
		return
	}
	if m.Usage, m.Known = number(filepath.Join(g.Tree, "memory.current")); !m.Known {
		return
	}
	stat := keyed(filepath.Join(g.Tree, "memory.stat"))
	m.RSS, m.Cache, m.Kernel = stat["anon"], stat["file"], stat["kernel"]
	m.Swap, _ = number(filepath.Join(g.Tree, "memory.swap.current"))
	m.Max, _ = number(filepath.Join(g.Tree, "memory.peak"))
}

// keyed reads a file of "key number" lines; one that cannot be read is empty.
func keyed(file string) map[string]uint64 {
	text, _ := os.ReadFile(file)
	values := map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			values[key] = n
		}
	}
	return values
}

func number(file string) (uint64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}
