package wire_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"

	basev1 "github.com/droverhq/drover/sdk/proto/base/v1"
	devicev1 "github.com/droverhq/drover/sdk/proto/device/v1"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
	extensionv1 "github.com/droverhq/drover/sdk/proto/extension/v1"
	gopluginv1 "github.com/droverhq/drover/sdk/proto/goplugin/v1"
	hclspecv1 "github.com/droverhq/drover/sdk/proto/hclspec/v1"
	networkv1 "github.com/droverhq/drover/sdk/proto/network/v1"
	structsv1 "github.com/droverhq/drover/sdk/proto/structs/v1"
)

var update = flag.Bool("update", false, "write the golden files")

// files are the contracts. That of the public ones was compared, field by field, with what the public SDK registers.
func files() []protoreflect.FileDescriptor {
	return []protoreflect.FileDescriptor{
		basev1.File_drover_plugin_base_v1_base_proto,
		driverv1.File_drover_plugin_driver_v1_driver_proto,
		devicev1.File_drover_plugin_device_v1_device_proto,
		networkv1.File_drover_plugin_network_v1_network_proto,
		hclspecv1.File_drover_plugin_hclspec_v1_hclspec_proto,
		structsv1.File_drover_plugin_structs_v1_structs_proto,
		extensionv1.File_drover_plugin_extension_v1_extension_proto,
		gopluginv1.File_drover_plugin_goplugin_v1_goplugin_proto,
	}
}

// TestContract pins every message, field number, type, enum value and method. A diff here is a change of the wire.
func TestContract(t *testing.T) {
	var b bytes.Buffer
	for _, file := range files() {
		fmt.Fprintf(&b, "file %s\n", file.Path())
		writeServices(&b, file.Services())
		writeEnums(&b, "", file.Enums())
		writeMessages(&b, "", file.Messages())
	}
	golden := filepath.Join("testdata", "contract.golden")
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the contract changed; if that is meant, run with -update and review the diff of %s", golden)
	}
}

// TestNamesAreOurs: two SDKs of the same contract link into one binary only if neither registers the other's names.
func TestNamesAreOurs(t *testing.T) {
	for _, file := range files() {
		if !strings.HasPrefix(file.Path(), "drover/plugin/") || !strings.HasPrefix(string(file.Package()), "drover.") {
			t.Errorf("%s in package %s is registered under a foreign name", file.Path(), file.Package())
		}
	}
}

// TestServicesMatchContract compares the services as they are served with those that the .proto files declare.
func TestServicesMatchContract(t *testing.T) {
	tests := map[string]struct {
		file     protoreflect.FileDescriptor
		declared protoreflect.Name
		served   *grpc.ServiceDesc
	}{
		"hashicorp.nomad.plugins.base.proto.BasePlugin": {basev1.File_drover_plugin_base_v1_base_proto, "BasePlugin", basev1.ServiceDesc()},
		"hashicorp.nomad.plugins.drivers.proto.Driver":  {driverv1.File_drover_plugin_driver_v1_driver_proto, "Driver", driverv1.ServiceDesc()},
		"hashicorp.nomad.plugins.device.DevicePlugin":   {devicev1.File_drover_plugin_device_v1_device_proto, "DevicePlugin", devicev1.ServiceDesc()},
		"drover.network.v1.Network":                     {networkv1.File_drover_plugin_network_v1_network_proto, "Network", networkv1.ServiceDesc()},
		"drover.plugin.v1.Extensions":                   {extensionv1.File_drover_plugin_extension_v1_extension_proto, "Extensions", extensionv1.ExtensionsServiceDesc()},
		"drover.plugin.v1.ConfigCheck":                  {extensionv1.File_drover_plugin_extension_v1_extension_proto, "ConfigCheck", extensionv1.ConfigCheckServiceDesc()},
		"drover.plugin.v1.HandOver":                     {extensionv1.File_drover_plugin_extension_v1_extension_proto, "HandOver", extensionv1.HandOverServiceDesc()},
		"drover.plugin.v1.DeviceRelease":                {extensionv1.File_drover_plugin_extension_v1_extension_proto, "DeviceRelease", extensionv1.DeviceReleaseServiceDesc()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.served.ServiceName != name {
				t.Errorf("served as %s", test.served.ServiceName)
			}
			var want, got []string
			methods := test.file.Services().ByName(test.declared).Methods()
			for i := range methods.Len() {
				m := methods.Get(i)
				want = append(want, fmt.Sprint(m.Name(), m.IsStreamingClient(), m.IsStreamingServer()))
			}
			for _, m := range test.served.Methods {
				got = append(got, fmt.Sprint(m.MethodName, false, false))
			}
			for _, s := range test.served.Streams {
				got = append(got, fmt.Sprint(s.StreamName, s.ClientStreams, s.ServerStreams))
			}
			sort.Strings(want)
			sort.Strings(got)
			if strings.Join(got, ";") != strings.Join(want, ";") {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func writeServices(b *bytes.Buffer, services protoreflect.ServiceDescriptors) {
	for i := range services.Len() {
		s := services.Get(i)
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			fmt.Fprintf(b, "  rpc %s.%s(%s) %s\n", s.Name(), m.Name(),
				stream(m.IsStreamingClient())+string(m.Input().Name()), stream(m.IsStreamingServer())+string(m.Output().Name()))
		}
	}
}

func stream(yes bool) string {
	if yes {
		return "stream "
	}
	return ""
}

func writeEnums(b *bytes.Buffer, prefix string, enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		e := enums.Get(i)
		fmt.Fprintf(b, "  enum %s%s", prefix, e.Name())
		for j := range e.Values().Len() {
			fmt.Fprintf(b, " %s=%d", e.Values().Get(j).Name(), e.Values().Get(j).Number())
		}
		b.WriteByte('\n')
	}
}

func writeMessages(b *bytes.Buffer, prefix string, messages protoreflect.MessageDescriptors) {
	for i := range messages.Len() {
		m := messages.Get(i)
		if m.IsMapEntry() {
			continue
		}
		fmt.Fprintf(b, "  message %s%s", prefix, m.Name())
		for j := range m.ReservedRanges().Len() {
			fmt.Fprintf(b, " reserved %d", m.ReservedRanges().Get(j)[0])
		}
		b.WriteByte('\n')
		for j := range m.Fields().Len() {
			writeField(b, m.Fields().Get(j))
		}
		writeEnums(b, prefix+string(m.Name())+".", m.Enums())
		writeMessages(b, prefix+string(m.Name())+".", m.Messages())
	}
}

func writeField(b *bytes.Buffer, f protoreflect.FieldDescriptor) {
	kind := kindName(f)
	switch {
	case f.IsMap():
		kind = fmt.Sprintf("map<%s,%s>", kindName(f.MapKey()), kindName(f.MapValue()))
	case f.IsList():
		kind = "repeated " + kind
	}
	if o := f.ContainingOneof(); o != nil {
		kind += " of " + string(o.Name())
	}
	fmt.Fprintf(b, "    %d %s %s\n", f.Number(), f.Name(), kind)
}

func kindName(f protoreflect.FieldDescriptor) string {
	switch {
	case f.Message() != nil:
		return string(f.Message().Name())
	case f.Enum() != nil:
		return string(f.Enum().Name())
	}
	return f.Kind().String()
}
