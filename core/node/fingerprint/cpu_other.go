//go:build !linux

package fingerprint

import (
	"runtime"
	"strconv"

	"github.com/shirou/gopsutil/v4/cpu"

	"github.com/droverhq/drover/sdk/plugin"
)

func readCores() ([]plugin.Core, error) {
	infos, err := cpu.Info()
	if err != nil {
		return nil, err
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
