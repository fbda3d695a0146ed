package node

import (
	"slices"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/sdk/device"
)

// heldBy are the devices of a task; never nil.
func heldBy(a *model.Allocation, task string) []*model.AllocatedDevice {
	if a.AllocatedResources == nil || a.AllocatedResources.Tasks[task] == nil {
		return []*model.AllocatedDevice{}
	}
	return append([]*model.AllocatedDevice{}, a.AllocatedResources.Tasks[task].Devices...)
}

// deviceStats are the latest samples of the devices held; held nil: of all devices.
func deviceStats(samples []device.GroupStats, held []*model.AllocatedDevice) []*rpc.DeviceGroupStats {
	out := []*rpc.DeviceGroupStats{}
	for _, g := range samples {
		group := &rpc.DeviceGroupStats{Vendor: g.Vendor, Type: g.Type, Name: g.Name, InstanceStats: map[string]*rpc.DeviceStats{}}
		for id, s := range g.Instances {
			if held == nil || holds(held, g.Vendor, g.Type, g.Name, id) {
				group.InstanceStats[id] = &rpc.DeviceStats{Summary: statValue(s.Summary), Stats: statObject(s.Tree), Timestamp: s.Timestamp}
			}
		}
		if len(group.InstanceStats) > 0 {
			out = append(out, group)
		}
	}
	return out
}

func holds(held []*model.AllocatedDevice, vendor, typ, name, id string) bool {
	return slices.ContainsFunc(held, func(d *model.AllocatedDevice) bool {
		return d.Vendor == vendor && d.Type == typ && d.Name == name && slices.Contains(d.DeviceIDs, id)
	})
}

func statValue(s device.Stat) *rpc.StatValue {
	return &rpc.StatValue{
		FloatNumeratorVal: s.Float, FloatDenominatorVal: s.FloatOf, IntNumeratorVal: s.Int, IntDenominatorVal: s.IntOf,
		StringVal: s.Text, BoolVal: s.Truth, Unit: s.Unit, Desc: s.Description,
	}
}

func statObject(t device.StatTree) *rpc.StatObject {
	o := &rpc.StatObject{}
	for name, sub := range t.Nested {
		if o.Nested == nil {
			o.Nested = map[string]*rpc.StatObject{}
		}
		o.Nested[name] = statObject(sub)
	}
	for name, s := range t.Values {
		if o.Attributes == nil {
			o.Attributes = map[string]*rpc.StatValue{}
		}
		o.Attributes[name] = statValue(s)
	}
	return o
}
