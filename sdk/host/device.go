package host

import (
	"google.golang.org/grpc"

	devicev1 "github.com/droverhq/drover/sdk/proto/device/v1"
)

// Device calls a device plugin.
type Device struct{ c *devicev1.Client }

func newDevice(cc grpc.ClientConnInterface) *Device { return &Device{devicev1.NewClient(cc)} }
