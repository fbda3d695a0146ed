package fingerprint

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/droverhq/drover/sdk/plugin"
)

const (
	sysCPU  = "/sys/devices/system/cpu"
	cpuinfo = "/proc/cpuinfo"
)

// readCores takes ids, sockets and NUMA nodes from sysfs and speeds from cpufreq, or from /proc/cpuinfo where there is
// none (virtual machines).
func readCores() ([]plugin.Core, error) {
	online, err := os.ReadFile(sysCPU + "/online")
	if err != nil {
		return nil, err
	}
	measured := measuredMHz()
	var cores []plugin.Core
	for _, id := range cpuList(strings.TrimSpace(string(online))) {
		dir := filepath.Join(sysCPU, "cpu"+strconv.Itoa(id))
		c := plugin.Core{
			CoreID:     uint32(id),
			SocketID:   uint32(readNumber(dir + "/topology/physical_package_id")),
			NodeID:     numaNode(dir),
			BaseSpeed:  readNumber(dir+"/cpufreq/base_frequency") / 1000,
			MaxSpeed:   readNumber(dir+"/cpufreq/cpuinfo_max_freq") / 1000,
			GuessSpeed: measured[id],
		}
		cores = append(cores, c)
	}
	return cores, nil
}

func numaNode(cpuDir string) uint32 {
	links, _ := filepath.Glob(cpuDir + "/node[0-9]*")
	if len(links) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(filepath.Base(links[0]), "node"))
	return uint32(n)
}

func readNumber(path string) uint64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n
}

// cpuList expands "0-3,8".
func cpuList(s string) []int {
	var ids []int
	for _, part := range strings.Split(s, ",") {
		from, to, ranged := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		b := a
		if ranged {
			if b, err = strconv.Atoi(to); err != nil {
				continue
			}
		}
		for i := a; i <= b; i++ {
			ids = append(ids, i)
		}
	}
	return ids
}

// measuredMHz is the speed each processor ran at when asked.
func measuredMHz() map[int]uint64 {
	out := map[int]uint64{}
	processor := -1
	eachCPUInfo(func(key, value string) bool {
		switch key {
		case "processor":
			processor, _ = strconv.Atoi(value)
		case "cpu MHz":
			mhz, _ := strconv.ParseFloat(value, 64)
			out[processor] = uint64(mhz + 0.5)
		}
		return true
	})
	return out
}

func modelName() string {
	var name string
	eachCPUInfo(func(key, value string) bool {
		if key == "model name" {
			name = value
		}
		return name == ""
	})
	return name
}

func eachCPUInfo(fn func(key, value string) bool) {
	f, err := os.Open(cpuinfo)
	if err != nil {
		return
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		key, value, ok := strings.Cut(sc.Text(), ":")
		if ok && !fn(strings.TrimSpace(key), strings.TrimSpace(value)) {
			return
		}
	}
}

// canPinCores: cores can be given to one task alone where cpusets exist.
func canPinCores() bool { return cgroupVersion() != "" }
