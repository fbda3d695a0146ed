package device

import (
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/droverhq/drover/sdk/attribute"
	devicev1 "github.com/droverhq/drover/sdk/proto/device/v1"
	structsv1 "github.com/droverhq/drover/sdk/proto/structs/v1"
)

// Proto returns the wire form.
func (g *Group) Proto() *devicev1.DeviceGroup {
	p := &devicev1.DeviceGroup{
		Vendor:     g.Vendor,
		DeviceType: g.Type,
		DeviceName: g.Name,
		Attributes: attribute.MapProto(g.Attributes),
	}
	for _, d := range g.Devices {
		found := &devicev1.DetectedDevice{ID: d.ID, Healthy: d.Healthy, HealthDescription: valid(d.HealthDescription)}
		if d.PCIBusID != "" {
			found.HwLocality = &devicev1.DeviceLocality{PciBusId: d.PCIBusID}
		}
		p.Devices = append(p.Devices, found)
	}
	return p
}

// GroupFromProto reads the wire form; p may be nil.
func GroupFromProto(p *devicev1.DeviceGroup) Group {
	g := Group{
		Vendor:     p.GetVendor(),
		Type:       p.GetDeviceType(),
		Name:       p.GetDeviceName(),
		Attributes: attribute.MapFromProto(p.GetAttributes()),
	}
	for _, d := range p.GetDevices() {
		g.Devices = append(g.Devices, Instance{
			ID:                d.GetID(),
			Healthy:           d.GetHealthy(),
			HealthDescription: d.GetHealthDescription(),
			PCIBusID:          d.GetHwLocality().GetPciBusId(),
		})
	}
	return g
}

// Proto returns the wire form; r may be nil.
func (r *Reservation) Proto() *devicev1.ContainerReservation {
	p := &devicev1.ContainerReservation{}
	if r == nil {
		return p
	}
	p.Envs = r.Env
	for _, m := range r.Mounts {
		p.Mounts = append(p.Mounts, &devicev1.Mount{TaskPath: m.TaskPath, HostPath: m.HostPath, ReadOnly: m.ReadOnly})
	}
	for _, n := range r.Devices {
		p.Devices = append(p.Devices, &devicev1.DeviceSpec{TaskPath: n.TaskPath, HostPath: n.HostPath, Permissions: n.Permissions})
	}
	return p
}

// ReservationFromProto reads the wire form; p may be nil.
func ReservationFromProto(p *devicev1.ContainerReservation) *Reservation {
	r := &Reservation{Env: p.GetEnvs()}
	for _, m := range p.GetMounts() {
		r.Mounts = append(r.Mounts, Mount{TaskPath: m.GetTaskPath(), HostPath: m.GetHostPath(), ReadOnly: m.GetReadOnly()})
	}
	for _, d := range p.GetDevices() {
		r.Devices = append(r.Devices, Node{TaskPath: d.GetTaskPath(), HostPath: d.GetHostPath(), Permissions: d.GetPermissions()})
	}
	return r
}

// Proto returns the wire form. Statistics without a time were taken at now.
func (g *GroupStats) Proto(now time.Time) *devicev1.DeviceGroupStats {
	p := &devicev1.DeviceGroupStats{Vendor: g.Vendor, Type: g.Type, Name: g.Name, InstanceStats: map[string]*devicev1.DeviceStats{}}
	for id, s := range g.Instances {
		at := s.Timestamp
		if at.IsZero() {
			at = now
		}
		p.InstanceStats[id] = &devicev1.DeviceStats{Summary: s.Summary.proto(), Stats: s.Tree.proto(), Timestamp: timestamppb.New(at)}
	}
	return p
}

// GroupStatsFromProto reads the wire form; p may be nil. Statistics without a time were taken at now.
func GroupStatsFromProto(p *devicev1.DeviceGroupStats, now time.Time) GroupStats {
	g := GroupStats{Vendor: p.GetVendor(), Type: p.GetType(), Name: p.GetName(), Instances: map[string]Stats{}}
	for id, s := range p.GetInstanceStats() {
		at := now
		if s.GetTimestamp().IsValid() {
			at = s.GetTimestamp().AsTime()
		}
		g.Instances[id] = Stats{Summary: statFromProto(s.GetSummary()), Tree: treeFromProto(s.GetStats()), Timestamp: at}
	}
	return g
}

func (t StatTree) proto() *structsv1.StatObject {
	p := &structsv1.StatObject{Nested: map[string]*structsv1.StatObject{}, Attributes: map[string]*structsv1.StatValue{}}
	for name, sub := range t.Nested {
		p.Nested[name] = sub.proto()
	}
	for name, s := range t.Values {
		p.Attributes[name] = s.proto()
	}
	return p
}

func treeFromProto(p *structsv1.StatObject) StatTree {
	var t StatTree
	for name, sub := range p.GetNested() {
		if t.Nested == nil {
			t.Nested = map[string]StatTree{}
		}
		t.Nested[name] = treeFromProto(sub)
	}
	for name, s := range p.GetAttributes() {
		if t.Values == nil {
			t.Values = map[string]Stat{}
		}
		t.Values[name] = statFromProto(s)
	}
	return t
}

func (s Stat) proto() *structsv1.StatValue {
	p := &structsv1.StatValue{Unit: s.Unit, Desc: valid(s.Description)}
	if s.Float != nil {
		p.FloatNumeratorVal = wrapperspb.Double(*s.Float)
	}
	if s.FloatOf != nil {
		p.FloatDenominatorVal = wrapperspb.Double(*s.FloatOf)
	}
	if s.Int != nil {
		p.IntNumeratorVal = wrapperspb.Int64(*s.Int)
	}
	if s.IntOf != nil {
		p.IntDenominatorVal = wrapperspb.Int64(*s.IntOf)
	}
	if s.Text != nil {
		p.StringVal = wrapperspb.String(valid(*s.Text))
	}
	if s.Truth != nil {
		p.BoolVal = wrapperspb.Bool(*s.Truth)
	}
	return p
}

func statFromProto(p *structsv1.StatValue) Stat {
	s := Stat{Unit: p.GetUnit(), Description: p.GetDesc()}
	if v := p.GetFloatNumeratorVal(); v != nil {
		s.Float = finite(v.GetValue())
	}
	if v := p.GetFloatDenominatorVal(); v != nil {
		s.FloatOf = finite(v.GetValue())
	}
	if v := p.GetIntNumeratorVal(); v != nil {
		s.Int = &v.Value
	}
	if v := p.GetIntDenominatorVal(); v != nil {
		s.IntOf = &v.Value
	}
	if v := p.GetStringVal(); v != nil {
		s.Text = &v.Value
	}
	if v := p.GetBoolVal(); v != nil {
		s.Truth = &v.Value
	}
	return s
}

// finite turns what JSON cannot carry into 0.
func finite(f float64) *float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0
	}
	return &f
}

// valid mends text that the wire would refuse: proto3 strings are UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
