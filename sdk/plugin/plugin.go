// Package plugin is what drivers and devices have in common as plugins: the handshake with the host, information about
// the plugin, its configuration and its log.
package plugin

import (
	"context"

	"google.golang.org/grpc"

	extensionv1 "github.com/droverhq/drover/sdk/proto/extension/v1"
	"github.com/droverhq/drover/sdk/schema"
)

// Type is the kind of a plugin. The numbers are the wire's.
type Type int32

// The kinds of plugins.
const (
	TypeUnknown Type = 0
	TypeDriver  Type = 2
	TypeDevice  Type = 3
	TypeNetwork Type = 64 // Drover's own: other hosts refuse it
)

// String returns driver, device, network or unknown.
func (t Type) String() string {
	switch t {
	case TypeDriver:
		return "driver"
	case TypeDevice:
		return "device"
	case TypeNetwork:
		return "network"
	}
	return "unknown"
}

// APIVersion is the version of the driver and device contract that this SDK speaks.
const APIVersion = "v0.1.0"

// NetworkAPIVersion is the version of the network contract, drover.network.v1, that this SDK speaks.
const NetworkAPIVersion = "v0.1.0"

// Names of extensions, as negotiated.
const (
	// ExtensionConfigCheck: the plugin checks task configs beyond what its schema says.
	ExtensionConfigCheck = "config-check"
	// ExtensionHandOver: a new generation of the plugin can take over the tasks of the old one while both run.
	ExtensionHandOver = "hand-over"
	// ExtensionDeviceRelease: a device plugin wants to know when a reservation ends.
	ExtensionDeviceRelease = "device-release"
)

// Info is how a plugin introduces itself.
type Info struct {
	Type        Type
	Name        string   // driver name used in jobs, or the device plugin's name
	Version     string   // a semantic version, with or without a leading v
	APIVersions []string // contract versions the plugin speaks
}

// Plugin is one served plugin. Authors do not implement it: driver.New, device.New and network.New return one.
type Plugin interface {
	Info() Info
	// ConfigSchema is the shape of the plugin's own configuration, nil if it takes none.
	ConfigSchema() (*schema.Spec, error)
	// SetConfig is called before anything else, possibly several times, and without node facts when the host only
	// checks a configuration.
	SetConfig(ctx context.Context, c *RawConfig) error
	// Register adds the plugin's services.
	Register(s grpc.ServiceRegistrar)
	// Extensions names the extension contracts the plugin serves.
	Extensions() []string
	// Detail tells what the public contract's capabilities cannot; nil = nothing.
	Detail() *extensionv1.CapabilityDetail
	// Close ends everything that the plugin's services run on their own. It does not touch tasks.
	Close()
}

// RawConfig is a configuration as it arrives: msgpack, shaped by the plugin's schema.
type RawConfig struct {
	Msgpack    []byte
	Node       *NodeConfig // nil while the host only checks the configuration
	APIVersion string      // contract version the host chose
	Host       HostInfo
}

// HostInfo is what a host says about itself with the extension contract; it is zero for hosts without it.
type HostInfo struct {
	Name    string
	Version string
	// DevMode is set when the agent runs in development mode: a driver may enable what an operator would otherwise
	// have to allow.
	DevMode bool
}
