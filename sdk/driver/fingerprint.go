package driver

import "github.com/droverhq/drover/sdk/attribute"

// Health is whether a driver can run tasks on this node. The numbers are the wire's.
type Health int32

// The health states.
const (
	Undetected Health = 0 // the runtime is not there; the node does not offer the driver
	Unhealthy  Health = 1 // the runtime is there but cannot start tasks now
	Healthy    Health = 2
)

// String returns undetected, unhealthy or healthy.
func (h Health) String() string { return nameOf(int(h), "undetected", "unhealthy", "healthy") }

// Fingerprint is what a driver found on the node.
type Fingerprint struct {
	Health Health
	// Description says why, in words for an operator. The SDK fills in "Healthy" if it is empty and Health is Healthy.
	Description string
	// Attributes become node attributes; name them "driver.<name>.*". An empty text removes the attribute; one that is
	// missing from a later fingerprint stays.
	Attributes map[string]attribute.Value
	// Err is a failed attempt to find out, as opposed to an unhealthy runtime. Empty on success.
	Err string
}
