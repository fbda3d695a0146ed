package model

import "strconv"

// NodeDevice is a group of equal devices.
type NodeDevice struct {
	Vendor     string
	Type       string
	Name       string
	Instances  []*NodeDeviceInstance
	Attributes map[string]*DeviceAttribute
}

// ID names the group as jobs do: vendor/type/name.
func (d *NodeDevice) ID() string { return d.Vendor + "/" + d.Type + "/" + d.Name }

// NodeDeviceInstance is one device.
type NodeDeviceInstance struct {
	ID                string
	Healthy           bool
	HealthDescription string
	Locality          *NodeDeviceLocality
}

// NodeDeviceLocality says where a device is plugged in.
type NodeDeviceLocality struct {
	PciBusID string
}

// DeviceAttribute is a property of a group of devices. One of the values is set; only a number may have a unit.
type DeviceAttribute struct {
	Float  *float64 `json:",omitempty"`
	Int    *int64   `json:",omitempty"`
	String *string  `json:",omitempty"`
	Bool   *bool    `json:",omitempty"`
	Unit   string   `json:",omitempty"`
}

// Text is the value followed at once by its unit ("2048MiB"), which is what constraints compare.
func (a *DeviceAttribute) Text() string {
	switch {
	case a == nil:
		return ""
	case a.Int != nil:
		return strconv.FormatInt(*a.Int, 10) + a.Unit
	case a.Float != nil:
		return strconv.FormatFloat(*a.Float, 'f', -1, 64) + a.Unit
	case a.Bool != nil:
		return strconv.FormatBool(*a.Bool)
	case a.String != nil:
		return *a.String
	}
	return ""
}

// ID names the group that the instances are of: vendor/type/name.
func (d *AllocatedDevice) ID() string { return d.Vendor + "/" + d.Type + "/" + d.Name }
