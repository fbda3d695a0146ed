//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/plugins/sysfs"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/device"
)

const (
	interval    = 5 * time.Second
	vfio        = "vfio-pci"
	bridgeClass = "0x06"
)

// pci offers PCI functions: those bound to vfio-pci and those that the operator includes. Of an included one the host's
// driver stays bound; the task gets the device files it made.
type pci struct {
	machine sysfs.Machine
	sysfs.Selection
}

var (
	_ device.Device                  = (*pci)(nil)
	_ device.WithConfig              = (*pci)(nil)
	_ device.WithFingerprintInterval = (*pci)(nil)
)

func (p *pci) FingerprintInterval() time.Duration { return interval }

// function is one PCI function.
type function struct {
	address, dir   string
	vendor, device string // hexadecimal digits
	class          string // such as 0x030000
	driver         string // "" when none is bound
	group          string // IOMMU group; "" without an IOMMU
}

// scan reads all functions of the machine.
func (p *pci) scan() []function {
	var all []function
	for _, dir := range p.machine.Devices("pci") {
		all = append(all, function{
			address: filepath.Base(dir), dir: dir,
			vendor: strings.TrimPrefix(sysfs.Text(dir, "vendor"), "0x"), device: strings.TrimPrefix(sysfs.Text(dir, "device"), "0x"),
			class: sysfs.Text(dir, "class"), driver: sysfs.LinkName(dir, "driver"), group: sysfs.LinkName(dir, "iommu_group"),
		})
	}
	return all
}

// offered tells whether tasks may have a function.
func (p *pci) offered(f function) bool {
	id := f.vendor + ":" + f.device
	if f.vendor == "" || f.device == "" || p.Excluded(id) {
		return false
	}
	return f.driver == vfio || p.Included(id)
}

// Fingerprint lists functions as <vendor id>/pci/<device id>.
func (p *pci) Fingerprint(context.Context) ([]device.Group, error) {
	all, groups := p.scan(), sysfs.NewGroups()
	for _, f := range all {
		if !p.offered(f) {
			continue
		}
		why := unusable(f, all)
		groups.Add(f.vendor, "pci", f.device, device.Instance{
			ID: f.address, PCIBusID: f.address, Healthy: why == "", HealthDescription: why,
		}, describe(f))
	}
	return groups.List(), nil
}

// unusable tells why a function that is passed through cannot be: the kernel hands out IOMMU groups as a whole, so none of
// a group may be in the hands of a driver of the host.
func unusable(f function, all []function) string {
	if f.driver != vfio {
		return ""
	}
	if f.group == "" {
		return "it is in no IOMMU group: switch the IOMMU on in the firmware and the kernel's command line"
	}
	for _, other := range all {
		if other.group == f.group && other.driver != "" && other.driver != vfio && !strings.HasPrefix(other.class, bridgeClass) {
			return fmt.Sprintf("%s of the same IOMMU group %s is used by the host's driver %s: bind it to %s too", other.address, f.group, other.driver, vfio)
		}
	}
	return ""
}

func describe(f function) map[string]attribute.Value {
	a := map[string]attribute.Value{}
	sysfs.SetText(a, "class", strings.TrimPrefix(f.class, "0x"))
	sysfs.SetText(a, "driver", f.driver)
	sysfs.SetText(a, "subsystem_vendor", strings.TrimPrefix(sysfs.Text(f.dir, "subsystem_vendor"), "0x"))
	sysfs.SetText(a, "subsystem_device", strings.TrimPrefix(sysfs.Text(f.dir, "subsystem_device"), "0x"))
	sysfs.SetText(a, "revision", strings.TrimPrefix(sysfs.Text(f.dir, "revision"), "0x"))
	sysfs.SetInt(a, "numa_node", sysfs.Text(f.dir, "numa_node"), "")
	return a
}

// Reserve gives the task the files of the function's IOMMU group, or those that the host's driver made.
func (p *pci) Reserve(_ context.Context, r *device.ReserveRequest) (*device.Reservation, error) {
	all := p.scan()
	res := &device.Reservation{Env: map[string]string{"PCI_DEVICES": strings.Join(r.DeviceIDs, ",")}}
	var files []string
	for _, id := range r.DeviceIDs {
		i := slices.IndexFunc(all, func(f function) bool { return f.address == id })
		if i < 0 || !p.offered(all[i]) {
			return nil, fmt.Errorf("PCI function %q is none that this plugin offers", id)
		}
		if why := unusable(all[i], all); why != "" {
			return nil, fmt.Errorf("PCI function %s: %s", id, why)
		}
		found := p.machine.Files(all[i].dir)
		if all[i].driver == vfio {
			found = []string{filepath.Join(p.machine.Dev, "vfio/vfio"), filepath.Join(p.machine.Dev, "vfio", all[i].group)}
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("PCI function %s has no device file: its driver %q made none", id, all[i].driver)
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	for _, file := range slices.Compact(files) {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("PCI functions %s: %w", strings.Join(r.DeviceIDs, ","), err)
		}
		res.Devices = append(res.Devices, device.Node{TaskPath: file, HostPath: file, Permissions: "rw"})
	}
	return res, nil
}
