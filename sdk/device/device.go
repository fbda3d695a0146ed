// Package device is what an author of a device plugin implements: it finds devices on a node and says how a task gets
// one.
//
//	func main() {
//		plugin.Serve(device.New(device.Info{Name: "tpm", Version: "0.1.0"}, &tpm{}))
//	}
package device

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/plugin"
)

// Device finds devices and reserves them.
//
// # Vocabulary
//
//   - An instance is one device of this node, with an id that stays the same for as long as the device is there: a
//     serial number or a bus address, not its place in a list.
//   - A group is a set of equal instances: same vendor, type, model and attributes. Jobs ask for "type", "vendor/type" or
//     "vendor/type/name", with constraints on attributes; the scheduler picks instances by id and counts who uses what.
//   - A reservation is what makes instances usable in one task: environment, mounts, device files. Every driver that
//     can pass these on can use the device; the plugin need not know which.
//
// # Life
//
//	Fingerprint            these devices are here; again and again, for as long as the host listens
//	Reserve(ids)           a task with these devices is about to start
//	Reserve(ids)           it restarts: the same answer
//	Release(ids)           it is over; only with WithRelease, and only from hosts that know the extension
//
// A device plugin is never reattached: it ends with the agent, and starts anew with it. Tasks run on meanwhile, so nothing
// that a running task needs may depend on this process. The methods are called concurrently.
//
// Everything else a plugin may be able to do is an interface of its own, With...
type Device interface {
	// Fingerprint lists the devices on the node. It is called as soon as a host listens and then every 30 s (see
	// WithFingerprintInterval). Each list replaces the one before; the SDK sends it only if it changed. Devices that are
	// broken stay listed, as not healthy and with the reason: they are not given to new tasks. An empty list means that
	// there is none now. It should answer within a second. An error ends the plugin's work on the node until it is
	// launched again, so return one only for what cannot get better; ErrDisabled says that the plugin has nothing to do
	// on this node.
	Fingerprint(ctx context.Context) ([]Group, error)

	// Reserve says what a task needs to use the devices: environment, mounts, device files. It is called before each
	// task and must be repeatable; hosts without the extension "device-release" never say when a task is done. All ids
	// are from one group's latest list, but a device may have gone since: an error keeps the task from starting here,
	// and its text is shown to the user.
	Reserve(ctx context.Context, req *ReserveRequest) (*Reservation, error)
}

// ErrDisabled ends the plugin's work on a node. Its text is part of the wire contract.
var ErrDisabled = errors.New("device is not enabled")

// Info is what is known about a device plugin before it runs.
type Info struct {
	Name    string
	Version string // semantic version of the plugin
}

// Group is a set of equal devices.
type Group struct {
	Vendor     string // such as "nvidia"
	Type       string // such as "gpu"
	Name       string // model, such as "Tesla T4"
	Devices    []Instance
	Attributes map[string]attribute.Value
}

// Instance is one device. PCIBusID is empty if it is not on a PCI bus.
type Instance struct {
	ID                string
	Healthy           bool
	HealthDescription string
	PCIBusID          string
}

// Validate reports why a host would refuse the group, which ends the plugin's work.
func (g *Group) Validate() error {
	name := fmt.Sprintf("device group %s/%s/%s", g.Vendor, g.Type, g.Name)
	switch {
	case g.Vendor == "" || g.Type == "" || g.Name == "":
		return fmt.Errorf("%s: vendor, type and name must not be empty", name)
	case len(g.Devices) == 0:
		return fmt.Errorf("%s: it has no devices", name)
	}
	for i, d := range g.Devices {
		if d.ID == "" {
			return fmt.Errorf("%s: device %d has no id", name, i)
		}
	}
	for key, value := range g.Attributes {
		if err := value.Validate(); err != nil {
			return fmt.Errorf("%s: %s: %w", name, key, err)
		}
	}
	return nil
}

// ReserveRequest names the devices that a task is to get.
type ReserveRequest struct {
	DeviceIDs []string
}

// Reservation is what a task needs to use its devices.
type Reservation struct {
	Env     map[string]string
	Mounts  []Mount
	Devices []Node
}

// Mount binds a host path into the task.
type Mount struct {
	TaskPath string
	HostPath string
	ReadOnly bool
}

// Node gives the task a device file.
type Node struct {
	TaskPath    string
	HostPath    string
	Permissions string // subset of "rwm"
}

// WithConfig is for plugins that take configuration, from the agent's plugin block. Return
// plugin.Configure(d.configure).
type WithConfig interface {
	Config() plugin.ConfigHandler
}

// WithFingerprintInterval changes how often Fingerprint is called.
type WithFingerprintInterval interface {
	// FingerprintInterval is asked once per stream; 0 and less mean 30 s.
	FingerprintInterval() time.Duration
}

// WithStats is for plugins that can measure their devices.
type WithStats interface {
	// Stats returns one sample of all devices, with the groups and ids of Fingerprint. The SDK asks at once and then in
	// the interval the host wants. An error ends the stream; hosts open it again with growing pauses.
	Stats(ctx context.Context) ([]GroupStats, error)
}

// WithRelease is for plugins that want to know when a task no longer uses its devices.
type WithRelease interface {
	// Release may come for devices that were never reserved, and more than once.
	Release(ctx context.Context, deviceIDs []string) error
}

// GroupStats are the statistics of a group's devices, by device id.
type GroupStats struct {
	Vendor, Type, Name string
	Instances          map[string]Stats
}

// Stats are the statistics of one device: the one figure that tells most, and everything.
type Stats struct {
	Summary   Stat
	Tree      StatTree
	Timestamp time.Time // the SDK fills in a zero time
}

// StatTree is a tree of named statistics.
type StatTree struct {
	Nested map[string]StatTree
	Values map[string]Stat
}

// Stat is one statistic: a number, a number out of another, a text or a truth value. Nil fields are not there.
type Stat struct {
	Float, FloatOf *float64
	Int, IntOf     *int64
	Text           *string
	Truth          *bool
	Unit           string
	Description    string
}
