package fleet

import (
	"maps"
	"strconv"

	"github.com/droverhq/drover/core/model"
)

// Exact is what is in use on a node and cannot be counted: which ports of which address, which cores, which device
// instances. Those reached through a Snapshot must not be changed; Clone gives one that may.
type Exact struct {
	epoch   uint64
	ports   []addressPorts
	cores   []uint64       // bit per core id
	devices map[string]int // instance key -> holders
	shared  int            // cores or devices that are held more than once (a state that should not be)
}

type addressPorts struct {
	address string
	ports   *Ports
}

// Ports returns the ports in use on an address; nil means none.
func (e *Exact) Ports(address string) *Ports {
	if e == nil {
		return nil
	}
	for _, a := range e.ports {
		if a.address == address {
			return a.ports
		}
	}
	return nil
}

// Core tells whether the core is held exclusively.
func (e *Exact) Core(id uint16) bool {
	return e != nil && int(id/64) < len(e.cores) && e.cores[id/64]&(1<<(id%64)) != 0
}

// Device tells whether a device instance is held. Key is DeviceKey.
func (e *Exact) Device(key string) bool { return e != nil && e.devices[key] > 0 }

// HoldsDevices tells whether any device instance is held.
func (e *Exact) HoldsDevices() bool { return e != nil && len(e.devices) > 0 }

// Overlap tells whether a core or device instance is held by more than one allocation.
func (e *Exact) Overlap() bool { return e != nil && e.shared > 0 }

// DeviceKey names one device instance of a node.
func DeviceKey(vendor, typ, name, id string) string {
	return vendor + "/" + typ + "/" + name + "/" + id
}

// Clone returns an independent copy; of nil, an empty one.
func (e *Exact) Clone() *Exact {
	out := &Exact{}
	if e == nil {
		return out
	}
	out.shared = e.shared
	out.cores = append([]uint64(nil), e.cores...)
	out.devices = maps.Clone(e.devices)
	out.ports = make([]addressPorts, len(e.ports))
	for i, a := range e.ports {
		out.ports[i] = addressPorts{a.address, a.ports.Clone()}
	}
	return out
}

// Apply counts what an allocation holds, with sign +1 or -1.
func (e *Exact) Apply(r *model.AllocatedResources, sign int) {
	for _, p := range r.Shared.Ports {
		e.port(p.HostIP, p.Value, sign)
	}
	for _, t := range r.Tasks {
		for _, id := range t.Cpu.ReservedCores {
			e.core(id, sign)
		}
		for _, d := range t.Devices {
			for _, id := range d.DeviceIDs {
				e.device(DeviceKey(d.Vendor, d.Type, d.Name, id), sign)
			}
		}
		for _, n := range t.Networks {
			for _, p := range n.ReservedPorts {
				e.port(n.IP, p.Value, sign)
			}
			for _, p := range n.DynamicPorts {
				e.port(n.IP, p.Value, sign)
			}
		}
	}
}

// AddPort marks one port of an address as in use.
func (e *Exact) AddPort(address string, port int) { e.port(address, port, 1) }

func (e *Exact) port(address string, port, sign int) {
	set := e.Ports(address)
	if set == nil {
		if sign < 0 {
			return
		}
		set = &Ports{}
		e.ports = append(e.ports, addressPorts{address, set})
	}
	if sign > 0 {
		set.Add(port)
	} else {
		set.Remove(port)
	}
}

// core keeps one bit per core; a second holder is remembered in devices, where holders are counted.
func (e *Exact) core(id uint16, sign int) {
	again := "core/" + strconv.Itoa(int(id))
	switch held := e.Core(id); {
	case sign > 0 && held:
		e.device(again, 1)
		e.shared++
	case sign > 0:
		for int(id/64) >= len(e.cores) {
			e.cores = append(e.cores, 0)
		}
		e.cores[id/64] |= 1 << (id % 64)
	case held && e.devices[again] > 0:
		e.device(again, -1)
		e.shared--
	case held:
		e.cores[id/64] &^= 1 << (id % 64)
	}
}

func (e *Exact) device(key string, sign int) {
	if e.devices == nil {
		e.devices = map[string]int{}
	}
	before := e.devices[key]
	switch after := before + sign; {
	case after > 0:
		e.devices[key] = after
	default:
		delete(e.devices, key)
	}
	if sign > 0 && before > 0 {
		e.shared++
	}
	if sign < 0 && before > 1 {
		e.shared--
	}
}

// holdsExact tells whether the allocation holds anything that Exact keeps.
func holdsExact(r *model.AllocatedResources) bool {
	if len(r.Shared.Ports) > 0 {
		return true
	}
	for _, t := range r.Tasks {
		if len(t.Cpu.ReservedCores) > 0 || len(t.Devices) > 0 || len(t.Networks) > 0 {
			return true
		}
	}
	return false
}
