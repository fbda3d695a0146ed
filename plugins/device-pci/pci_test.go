//go:build linux

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/plugins/sysfs"
	"github.com/droverhq/drover/plugins/sysfs/sysfstest"
	"github.com/droverhq/drover/sdk/conformance"
	"github.com/droverhq/drover/sdk/device"
)

// card puts a function into the machine; driver and group may be empty.
func card(t *testing.T, m sysfs.Machine, address, id, class, driver, group string) {
	vendor, dev, _ := strings.Cut(id, ":")
	links := map[string]string{}
	if driver != "" {
		links["driver"] = "../../../bus/pci/drivers/" + driver
	}
	if group != "" {
		links["iommu_group"] = "../../../kernel/iommu_groups/" + group
	}
	sysfstest.Add(t, m, "pci", "pci0000:00/"+address, map[string]string{
		"vendor": "0x" + vendor, "device": "0x" + dev, "class": class, "numa_node": "1",
	}, links)
}

func machine(t *testing.T) sysfs.Machine {
	m := sysfstest.New(t)
	card(t, m, "0000:00:01.0", "8086:1901", "0x060400", "pcieport", "1")
	card(t, m, "0000:01:00.0", "10de:1eb8", "0x030200", "vfio-pci", "1") // shares its group with the bridge only
	card(t, m, "0000:02:00.0", "10de:1eb8", "0x030000", "vfio-pci", "2") // its sound function is the host's
	card(t, m, "0000:02:00.1", "10de:10f8", "0x040300", "snd_hda_intel", "2")
	card(t, m, "0000:03:00.0", "144d:a808", "0x010802", "nvme", "3")
	card(t, m, "0000:04:00.0", "15b3:1017", "0x020000", "vfio-pci", "")
	sysfstest.Add(t, m, "", "pci0000:00/0000:03:00.0/nvme/nvme0/nvme0n1", map[string]string{"uevent": "DEVNAME=nvme0n1"}, nil)
	for _, file := range []string{"vfio/vfio", "vfio/1", "nvme0n1"} {
		sysfstest.File(t, m, file)
	}
	return m
}

func TestPCI(t *testing.T) {
	m := machine(t)
	p := &pci{machine: m}
	groups, err := p.Fingerprint(t.Context())
	if err != nil || len(groups) != 2 {
		t.Fatalf("%+v, %v", groups, err)
	}
	gpu, nic := groups[0], groups[1]
	if gpu.Vendor != "10de" || gpu.Type != "pci" || gpu.Name != "1eb8" || len(gpu.Devices) != 2 || !gpu.Devices[0].Healthy {
		t.Errorf("%+v", gpu)
	}
	if d := gpu.Devices[1]; d.Healthy || !strings.Contains(d.HealthDescription, "0000:02:00.1 of the same IOMMU group 2 is used by the host's driver snd_hda_intel") {
		t.Errorf("%+v", d)
	}
	if _, same := gpu.Attributes["class"]; same || gpu.Attributes["driver"].Format() != "vfio-pci" || gpu.Attributes["numa_node"].Format() != "1" {
		t.Errorf("attributes %+v: class differs between the two and describes neither", gpu.Attributes)
	}
	if d := nic.Devices[0]; d.Healthy || !strings.Contains(d.HealthDescription, "no IOMMU group") {
		t.Errorf("%+v", d)
	}
	r, err := p.Reserve(t.Context(), &device.ReserveRequest{DeviceIDs: []string{"0000:01:00.0"}})
	if err != nil || len(r.Devices) != 2 || r.Devices[0].HostPath != filepath.Join(m.Dev, "vfio/1") || r.Env["PCI_DEVICES"] != "0000:01:00.0" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, id := range []string{"0000:02:00.0", "0000:03:00.0", "0000:04:00.0", "../../x", ""} {
		if r, err := p.Reserve(t.Context(), &device.ReserveRequest{DeviceIDs: []string{id}}); err == nil {
			t.Errorf("%s was reserved: %+v", id, r)
		}
	}
}

func TestIncludeAndExclude(t *testing.T) {
	m := machine(t)
	p := &pci{machine: m}
	p.Choose(sysfs.IDs{Include: []string{"144d:*"}, Exclude: []string{"10de:*", "15b3:1017"}})
	groups, err := p.Fingerprint(t.Context())
	if err != nil || len(groups) != 1 || groups[0].Name != "a808" || !groups[0].Devices[0].Healthy {
		t.Fatalf("%+v, %v", groups, err)
	}
	r, err := p.Reserve(t.Context(), &device.ReserveRequest{DeviceIDs: []string{"0000:03:00.0"}})
	if err != nil || len(r.Devices) != 1 || r.Devices[0].HostPath != filepath.Join(m.Dev, "nvme0n1") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestConformance(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "drover-device-pci")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conformance.Run(t, conformance.Config{Path: binary})
}
