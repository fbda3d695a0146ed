package driver_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/internal/prototest"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

// TestNoFieldIsLost sends every field of every message through the Go types and back.
func TestNoFieldIsLost(t *testing.T) {
	roundTrips := map[string]func(variant int) (sent, back proto.Message){
		"TaskConfig": func(v int) (proto.Message, proto.Message) {
			p := fill(&driverv1.TaskConfig{}, v)
			return p, driver.TaskConfigFromProto(p).Proto()
		},
		"TaskHandle": func(v int) (proto.Message, proto.Message) {
			p := fill(&driverv1.TaskHandle{}, v)
			return p, driver.TaskHandleFromProto(p).Proto()
		},
		"FingerprintResponse": func(v int) (proto.Message, proto.Message) {
			p := fill(&driverv1.FingerprintResponse{}, v)
			f := driver.FingerprintFromProto(p)
			return p, f.Proto()
		},
		"DriverCapabilities": func(v int) (proto.Message, proto.Message) {
			p := fill(&driverv1.DriverCapabilities{}, v)
			c := driver.CapabilitiesFromProto(p)
			return p, c.Proto()
		},
		"ExitResult": func(v int) (proto.Message, proto.Message) {
			p := fill(&driverv1.ExitResult{}, v)
			return p, driver.ExitResultFromProto(p).Proto()
		},
		"InspectTaskResponse": func(v int) (proto.Message, proto.Message) {
			p := fill(&driverv1.InspectTaskResponse{}, v)
			return p, driver.TaskStatusFromProto(p).Proto()
		},
		"TaskStats": func(v int) (proto.Message, proto.Message) {
			p := fill(&driverv1.TaskStats{}, v)
			s := driver.TaskStatsFromProto(p, time.Time{})
			return p, s.Proto()
		},
		"DriverTaskEvent": func(v int) (proto.Message, proto.Message) {
			p := fill(&driverv1.DriverTaskEvent{}, v)
			e := driver.TaskEventFromProto(p, time.Time{})
			return p, e.Proto()
		},
		"NetworkOverride": func(v int) (proto.Message, proto.Message) {
			p := fill(&driverv1.NetworkOverride{}, v)
			return p, driver.NetworkOverrideFromProto(p).Proto()
		},
		"NetworkIsolationSpec": func(v int) (proto.Message, proto.Message) {
			p := fill(&driverv1.NetworkIsolationSpec{}, v)
			return p, driver.NetworkIsolationFromProto(p).Proto()
		},
	}
	for name, roundTrip := range roundTrips {
		t.Run(name, func(t *testing.T) {
			for variant := range 4 { // as many as the largest oneof has members
				if sent, back := roundTrip(variant); !proto.Equal(sent, back) {
					t.Errorf("sent %v\nback %v", sent, back)
				}
			}
		})
	}
}

func fill[M proto.Message](m M, variant int) M {
	prototest.Fill(m, variant, nil)
	return m
}

// TestNilIsTolerated: no part of a message can be relied on.
func TestNilIsTolerated(t *testing.T) {
	driver.TaskConfigFromProto(nil).Proto()
	driver.TaskHandleFromProto(nil).Proto()
	driver.FingerprintFromProto(nil)
	driver.CapabilitiesFromProto(nil)
	driver.TaskStatusFromProto(nil)
	driver.TaskStatsFromProto(nil, time.Time{})
	driver.TaskEventFromProto(nil, time.Time{})
	driver.TaskConfigFromProto(&driverv1.TaskConfig{
		Mounts: []*driverv1.Mount{nil}, Devices: []*driverv1.Device{nil},
		Resources: &driverv1.Resources{Ports: []*driverv1.PortMapping{nil}, AllocatedResources: &driverv1.AllocatedTaskResources{Networks: []*driverv1.NetworkResource{nil}}},
	})
	if driver.NetworkOverrideFromProto(nil) != nil || driver.NetworkIsolationFromProto(nil) != nil {
		t.Error("absent became present")
	}
	if ports := driver.TaskConfigFromProto(&driverv1.TaskConfig{Resources: &driverv1.Resources{Ports: []*driverv1.PortMapping{}}}).Resources.Ports; ports != nil {
		t.Error("an empty list of ports is nil for drivers")
	}
}
