package cgroup

import (
	"fmt"
	"path/filepath"

	"github.com/opencontainers/cgroups"
	_ "github.com/opencontainers/cgroups/devices" // sets cgroups.DevicesSetV1 and V2
	devices "github.com/opencontainers/cgroups/devices/config"
)

// limitDevices lets the group's processes open these devices and no others: by the controller in version 1, by a BPF program
// that lives as long as the group in version 2.
func (h Host) limitDevices(g Group, list []Device) error {
	r := &cgroups.Resources{}
	for _, d := range list {
		rule := &devices.Rule{Type: devices.CharDevice, Major: d.Major, Minor: d.Minor, Permissions: devices.Permissions(d.Access), Allow: true}
		if d.Block {
			rule.Type = devices.BlockDevice
		}
		r.Devices = append(r.Devices, rule)
	}
	var err error
	switch dir := g.V1["devices"]; {
	case dir != "":
		if err = mkdir(dir); err == nil {
			err = cgroups.DevicesSetV1(dir, r)
		}
	case isUnified(g.Tree):
		err = cgroups.DevicesSetV2(g.Tree, r)
	}
	if err != nil {
		return fmt.Errorf("limit devices of cgroup %s: %w", filepath.Base(g.Tree), err)
	}
	return nil
}
