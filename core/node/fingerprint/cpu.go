package fingerprint

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"

	"github.com/droverhq/drover/sdk/plugin"
)

func lookArch(_ *Config, r *Result) error {
	r.set("cpu.arch", runtime.GOARCH)
	return nil
}

// fallbackMHz is assumed of a core when the system does not say how fast it is.
const fallbackMHz = 1000

// Topology is the machine's processors as plugins are told of them.
func Topology(o Overrides, reserved Reserved) (*plugin.Topology, error) {
	cores, err := readCores()
	if err != nil {
		return nil, fmt.Errorf("read processor topology: %w", err)
	}
	return topology(cores, o, reserved), nil
}

// topology applies what the operator knows better.
func topology(cores []plugin.Core, o Overrides, reserved Reserved) *plugin.Topology {
	t := &plugin.Topology{OverrideTotal: uint64(o.CPUTotalCompute), OverrideWithhold: uint64(reserved.CPU)}
	nodes := map[uint32]bool{}
	for _, c := range cores {
		if c.Speed() == 0 {
			c.GuessSpeed = fallbackMHz
		}
		if slices.Contains(reserved.Cores, uint16(c.CoreID)) {
			c.Disable = true
		}
		nodes[c.NodeID] = true
		t.Cores = append(t.Cores, c)
	}
	for id := range nodes {
		t.NodeIDs = append(t.NodeIDs, id)
	}
	slices.Sort(t.NodeIDs)
	return t
}

func lookCPU(cfg *Config, r *Result) error {
	t, err := Topology(cfg.Overrides, cfg.Reserved)
	if err != nil {
		return err
	}
	r.set("cpu.modelname", modelName())
	r.set("cpu.numcores", strconv.Itoa(len(t.Cores)))
	var fastest uint64
	var reservable []uint16
	perNode := map[uint32]int{}
	for _, c := range t.Cores {
		fastest = max(fastest, c.Speed())
		perNode[c.NodeID]++
		if !c.Disable && (len(cfg.Overrides.ReservableCores) == 0 || slices.Contains(cfg.Overrides.ReservableCores, uint16(c.CoreID))) {
			reservable = append(reservable, uint16(c.CoreID))
		}
	}
	r.set("cpu.frequency", strconv.FormatUint(fastest, 10))
	r.set("cpu.totalcompute", strconv.FormatUint(t.TotalCompute(), 10))
	r.set("cpu.usablecompute", strconv.FormatUint(t.UsableCompute(), 10))
	r.set("numa.node.count", strconv.Itoa(len(t.NodeIDs)))
	for id, n := range perNode {
		r.set(fmt.Sprintf("numa.node%d.cores", id), strconv.Itoa(n))
	}
	r.Resources.Cpu.CpuShares = int64(t.TotalCompute())
	r.Resources.Cpu.TotalCpuCores = uint16(len(t.Cores))
	if len(cfg.Reserved.Cores) > 0 {
		r.Reserved.Cpu.CpuShares = int64(t.TotalCompute() - t.UsableCompute())
	}
	if canPinCores() {
		r.set("cpu.reservablecores", strconv.Itoa(len(reservable)))
		r.Resources.Cpu.ReservableCpuCores = reservable
	}
	return nil
}
