//go:build !linux

package fingerprint

import (
	"runtime"
	"strconv"

	"github.com/shirou/gopsutil/v4/cpu"

	"github.com/droverhq/drover/sdk/plugin"
)

// readCores never fails: a machine whose firmware tells nothing about its processors, as virtual ones may, still knows
// how many there are.
func readCores() ([]plugin.Core, error) {
	infos, err := cpu.Info()
	if err != nil {
		infos = nil
	}
	var cores []plugin.Core
	for _, info := range infos {
		socket, _ := strconv.Atoi(info.PhysicalID)
		for range max(info.Cores, 1) {
			cores = append(cores, plugin.Core{
				CoreID:    uint32(len(cores)),
				SocketID:  uint32(socket),
				BaseSpeed: uint64(info.Mhz),
			})
		}
	}
	for len(cores) < runtime.NumCPU() {
		cores = append(cores, plugin.Core{CoreID: uint32(len(cores))})
	}
	return cores, nil
}

func modelName() string {
	infos, err := cpu.Info()
	if err != nil || len(infos) == 0 {
		return ""
	}
	return infos[0].ModelName
}

func canPinCores() bool { return false }
