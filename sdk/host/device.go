package host

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/droverhq/drover/sdk/device"
	devicev1 "github.com/droverhq/drover/sdk/proto/device/v1"
	extensionv1 "github.com/droverhq/drover/sdk/proto/extension/v1"
)

// Device calls a device plugin.
type Device struct {
	c       *devicev1.Client
	release *extensionv1.DeviceReleaseClient
}

func newDevice(cc grpc.ClientConnInterface) *Device {
	return &Device{c: devicev1.NewClient(cc), release: extensionv1.NewDeviceReleaseClient(cc)}
}

// Fingerprint calls f with each list of groups, which replaces the one before, until ctx ends, f fails, or the plugin
// ends the stream. A group that breaks the contract is an error, which ends the plugin's work on the node.
func (d *Device) Fingerprint(ctx context.Context, f func([]device.Group) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := d.c.Fingerprint(ctx, &devicev1.FingerprintRequest{})
	return receive(ctx, "fingerprint devices", stream, err, func(m *devicev1.FingerprintResponse) error {
		var groups []device.Group
		for _, p := range m.GetDeviceGroup() {
			g := device.GroupFromProto(p)
			if err := g.Validate(); err != nil {
				return err
			}
			groups = append(groups, g)
		}
		return f(groups)
	})
}

// Reserve asks what a task needs to use the devices.
func (d *Device) Reserve(ctx context.Context, deviceIDs []string) (*device.Reservation, error) {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	resp, err := d.c.Reserve(ctx, &devicev1.ReserveRequest{DeviceIds: deviceIDs})
	if err != nil {
		return nil, callError(ctx, "reserve devices", err)
	}
	return device.ReservationFromProto(resp.GetContainerRes()), nil
}

// Release says that a task no longer uses the devices. Plugins without the extension need not know.
func (d *Device) Release(ctx context.Context, deviceIDs []string) error {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	_, err := d.release.Release(ctx, &extensionv1.DeviceReleaseRequest{DeviceIds: deviceIDs})
	return ignoreUnimplemented(callError(ctx, "release devices", err))
}

// Stats calls f with each sample until ctx ends, f fails, or the plugin ends the stream: then there are no statistics.
func (d *Device) Stats(ctx context.Context, interval time.Duration, f func([]device.GroupStats) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := d.c.Stats(ctx, &devicev1.StatsRequest{CollectionInterval: durationpb.New(interval)})
	return receive(ctx, "device statistics", stream, err, func(m *devicev1.StatsResponse) error {
		var groups []device.GroupStats
		for _, p := range m.GetGroups() {
			groups = append(groups, device.GroupStatsFromProto(p, time.Now()))
		}
		return f(groups)
	})
}
