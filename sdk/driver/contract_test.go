package driver_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/droverhq/drover/sdk/internal/prototest"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

// carried are the messages that TestNoFieldIsLost sends through the Go types.
var carried = []proto.Message{
	&driverv1.TaskConfig{}, &driverv1.TaskHandle{}, &driverv1.FingerprintResponse{}, &driverv1.DriverCapabilities{}, &driverv1.ExitResult{},
	&driverv1.InspectTaskResponse{}, &driverv1.TaskStats{}, &driverv1.DriverTaskEvent{}, &driverv1.NetworkOverride{}, &driverv1.NetworkIsolationSpec{},
}

// envelopes are the messages around them, with the fields that client and server are known to carry; tests of the calls
// show each of them.
var envelopes = map[string]string{
	"InitRequest": "", "InitResponse": "", "ShutdownRequest": "", "ShutdownResponse": "",
	"TaskConfigSchemaRequest": "", "TaskConfigSchemaResponse": "spec", "CapabilitiesRequest": "", "CapabilitiesResponse": "capabilities",
	"FingerprintRequest": "", "RecoverTaskRequest": "task_id handle", "RecoverTaskResponse": "",
	"StartTaskRequest": "task", "StartTaskResponse": "result driver_error_msg handle network_override",
	"WaitTaskRequest": "task_id", "WaitTaskResponse": "result err",
	"StopTaskRequest": "task_id timeout signal", "StopTaskResponse": "", "DestroyTaskRequest": "task_id force", "DestroyTaskResponse": "",
	"InspectTaskRequest": "task_id", "TaskStatsRequest": "task_id collection_interval", "TaskStatsResponse": "stats", "TaskEventsRequest": "",
	"SignalTaskRequest": "task_id signal", "SignalTaskResponse": "",
	"ExecTaskRequest": "task_id command timeout", "ExecTaskResponse": "stdout stderr result",
	"ExecTaskStreamingRequest": "setup tty_size stdin", "ExecTaskStreamingResponse": "stdout stderr exited result",
	"ExecTaskStreamingIOOperation": "data close", "Setup": "task_id command tty", "TerminalSize": "height width",
	"CreateNetworkRequest": "alloc_id hostname", "CreateNetworkResponse": "isolation_spec created",
	"DestroyNetworkRequest": "alloc_id isolation_spec", "DestroyNetworkResponse": "",
}

// TestEveryMessageIsCarried: a message or field that is added to the contract fails here until somebody carries it.
func TestEveryMessageIsCarried(t *testing.T) {
	covered := map[protoreflect.FullName]bool{}
	for _, m := range carried {
		cover(covered, m.ProtoReflect().Descriptor())
	}
	known := maps.Clone(envelopes)
	var walk func(protoreflect.MessageDescriptors)
	walk = func(all protoreflect.MessageDescriptors) {
		for i := range all.Len() {
			m := all.Get(i)
			walk(m.Messages())
			if m.IsMapEntry() || covered[m.FullName()] {
				continue
			}
			want, ok := known[string(m.Name())]
			delete(known, string(m.Name()))
			var fields []string
			for i := range m.Fields().Len() {
				fields = append(fields, string(m.Fields().Get(i).Name()))
			}
			if wanted := strings.Fields(want); !ok || !slices.Equal(fields, wanted) {
				t.Errorf("message %s has the fields %q; carried are %q", m.Name(), fields, wanted)
			}
		}
	}
	walk(driverv1.File_drover_plugin_driver_v1_driver_proto.Messages())
	for name := range known {
		t.Errorf("%s is no message of the contract any more", name)
	}
}

func cover(covered map[protoreflect.FullName]bool, m protoreflect.MessageDescriptor) {
	if covered[m.FullName()] {
		return
	}
	covered[m.FullName()] = true
	for i := range m.Fields().Len() {
		if sub := m.Fields().Get(i).Message(); sub != nil {
			cover(covered, sub)
		}
	}
}

// TestDroppedFieldsAreFound: what the round trips rest on can fail. Every field is set in one of the variants, and a
// message that lost one is another message.
func TestDroppedFieldsAreFound(t *testing.T) {
	for _, m := range carried {
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			found := false
			for variant := range 4 {
				whole := m.ProtoReflect().New().Interface()
				prototest.Fill(whole, variant, nil)
				if !whole.ProtoReflect().Has(fields.Get(i)) {
					continue
				}
				without := proto.Clone(whole)
				without.ProtoReflect().Clear(fields.Get(i))
				found = found || !proto.Equal(whole, without)
			}
			if !found {
				t.Errorf("%s is in no test message", fields.Get(i).FullName())
			}
		}
	}
}
