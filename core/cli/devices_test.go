package cli

import (
	"strings"
	"testing"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

func TestDevicesOfANode(t *testing.T) {
	devices := []*model.NodeDevice{{Vendor: "acme", Type: "gpu", Name: "m1",
		Instances: []*model.NodeDeviceInstance{
			{ID: "g0", Healthy: true, Locality: &model.NodeDeviceLocality{PciBusID: "0000:01:00.0"}},
			{ID: "g1", HealthDescription: "too hot"},
		},
		Attributes: map[string]*model.DeviceAttribute{"memory": {Int: new(int64(2)), Unit: "GiB"}},
	}}
	al := &model.Allocation{ID: "a1", AllocatedResources: &model.AllocatedResources{Tasks: map[string]*model.AllocatedTaskResources{
		"t": {Devices: []*model.AllocatedDevice{{Vendor: "acme", Type: "gpu", Name: "m1", DeviceIDs: []string{"g0"}}}},
	}}}
	var b strings.Builder
	deviceText(&b, devices, heldDevices([]*model.Allocation{al}), true)
	want := `
Devices
Device       Total  Healthy  In Use
acme/gpu/m1  2      1        1

Device acme/gpu/m1
ID  Healthy  Allocation  PCI Address   Message
g0  true     a1          0000:01:00.0
g1  false    -           -             too hot
memory = 2GiB
`
	if got := b.String(); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	b.Reset()
	use := &rpc.ResourceUsage{DeviceStats: []*rpc.DeviceGroupStats{{Vendor: "acme", Type: "gpu", Name: "m1", InstanceStats: map[string]*rpc.DeviceStats{
		"g0": {Summary: &rpc.StatValue{IntNumeratorVal: new(int64(100)), IntDenominatorVal: new(int64(2048)), Unit: "MiB"}},
	}}}}
	taskDevices(&b, al.AllocatedResources.Tasks["t"], use)
	if got := strings.Join(strings.Fields(b.String()), " "); got != "Devices: Device ID Usage acme/gpu/m1 g0 100 / 2048 MiB" {
		t.Errorf("got %q", got)
	}
}
