package thirdparty

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/device"

	"github.com/droverhq/drover/e2e/harness"
)

// deviceHost is one of our device plugins under the other project's own client.
func deviceHost(t *testing.T, binary, config string) device.DevicePlugin {
	t.Helper()
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: base.Handshake,
		Plugins: map[string]plugin.Plugin{
			base.PluginTypeBase:   &base.PluginBase{},
			base.PluginTypeDevice: &device.PluginDevice{},
		},
		Cmd:              cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
	})
	t.Cleanup(func() {
		client.Kill()
		if !client.Exited() || cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("the plugin did not end when asked: %v", cmd.ProcessState)
		}
	})
	rpc, err := client.Client()
	if err != nil {
		t.Fatalf("handshake: %v", err)
	}
	raw, err := rpc.Dispense(base.PluginTypeDevice)
	if err != nil {
		t.Fatal(err)
	}
	d := raw.(device.DevicePlugin)
	schema, err := d.ConfigSchema()
	if err != nil {
		t.Fatal(err)
	}
	for _, agent := range []*base.AgentConfig{nil, {Driver: &base.ClientDriverConfig{ClientMinPort: 14000, ClientMaxPort: 14512}}} {
		if err := d.SetConfig(&base.Config{ApiVersion: device.ApiVersion010, PluginConfig: encode(t, schema, config), AgentConfig: agent}); err != nil {
			t.Fatalf("set config: %v", err)
		}
	}
	return d
}

// A device plugin on our SDK, driven by the other project's own client: all of the contract.
func TestOurDevicePluginUnderTheOtherHost(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "counters")
	build := exec.Command("go", "build", "-o", binary, "./counters")
	build.Dir, build.Env = "sdkhost", append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d := deviceHost(t, binary, `{"broken": "c1"}`)

	t.Run("what it is", func(t *testing.T) {
		info, err := d.PluginInfo()
		if err != nil || info.Type != base.PluginTypeDevice || info.Name != "counters" || info.PluginVersion != "1.0.0" ||
			len(info.PluginApiVersions) != 1 || info.PluginApiVersions[0] != device.ApiVersion010 {
			t.Errorf("info %+v, %v", info, err)
		}
	})
	t.Run("fingerprint", func(t *testing.T) {
		ch, err := d.Fingerprint(timeout(t))
		if err != nil {
			t.Fatal(err)
		}
		fp := next(t, ch, "fingerprint")
		if fp.Error != nil || len(fp.Devices) != 1 {
			t.Fatalf("fingerprint %s", harness.Pretty(fp))
		}
		g := fp.Devices[0]
		if err := g.Validate(); err != nil {
			t.Error(err)
		}
		if g.Vendor != "test" || g.Type != "counter" || g.Name != "model one" || len(g.Devices) != 2 {
			t.Fatalf("group %s", harness.Pretty(g))
		}
		if in := g.Devices[0]; in.ID != "c0" || !in.Healthy || in.HwLocality.PciBusID != "0000:00:00.0" {
			t.Errorf("device %s", harness.Pretty(in))
		}
		if in := g.Devices[1]; in.ID != "c1" || in.Healthy || in.HealthDesc != "it miscounts" {
			t.Errorf("device %s", harness.Pretty(in))
		}
		a := g.Attributes
		if a["truth"].Bool == nil || !*a["truth"].Bool || a["text"].String == nil || *a["text"].String != "word" || a["ratio"].Float == nil || *a["ratio"].Float != 0.25 {
			t.Errorf("attributes %s", harness.Pretty(a))
		}
		if m := a["memory"]; m.Int == nil || *m.Int != 4 || m.Unit != "GiB" {
			t.Errorf("memory %s", harness.Pretty(m))
		}
	})
	t.Run("reserve", func(t *testing.T) {
		for range 2 { // repeatable
			r, err := d.Reserve([]string{"c0", "c1"})
			if err != nil {
				t.Fatal(err)
			}
			want := `{"Envs":{"COUNTERS":"[c0 c1]"},"Mounts":[{"TaskPath":"/c","HostPath":"/etc","ReadOnly":true}],` +
				`"Devices":[{"TaskPath":"/dev/c0","HostPath":"/dev/null","CgroupPerms":"rwm"},{"TaskPath":"/dev/c1","HostPath":"/dev/null","CgroupPerms":"rwm"}]}`
			if got, _ := json.Marshal(r); string(got) != want {
				t.Errorf("reservation %s\nwant        %s", got, want)
			}
		}
		if _, err := d.Reserve([]string{"c7"}); err == nil || !strings.Contains(err.Error(), `there is no counter "c7"`) {
			t.Errorf("an unknown device: %v", err)
		}
	})
	t.Run("stats", func(t *testing.T) {
		ch, err := d.Stats(timeout(t), 20*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		var last int64
		for range 3 {
			s := next(t, ch, "stats")
			if s.Error != nil || len(s.Groups) != 1 || s.Groups[0].Name != "model one" {
				t.Fatalf("sample %s", harness.Pretty(s))
			}
			c := s.Groups[0].InstanceStats["c0"]
			if c == nil || *c.Summary.IntNumeratorVal <= last || *c.Summary.IntDenominatorVal != 100 || c.Summary.Unit != "MiB" || c.Summary.Desc != "counted" || c.Timestamp.IsZero() {
				t.Fatalf("sample %s", harness.Pretty(s))
			}
			last = *c.Summary.IntNumeratorVal
			v := c.Stats.Attributes
			if *v["f"].FloatNumeratorVal != 0.5 || *v["f"].FloatDenominatorVal != 2 || *v["text"].StringVal != "busy" || !*v["truth"].BoolVal || *c.Stats.Nested["deeper"].Attributes["n"].IntNumeratorVal != last {
				t.Errorf("details %s", harness.Pretty(c.Stats))
			}
		}
	})
}

// The device plugin that we ship, driven the same way.
func TestDeviceHostUnderTheOtherHost(t *testing.T) {
	d := deviceHost(t, filepath.Join(harness.Bin(t), "devices", "drover-device-host"),
		`{"interval": "100ms", "device": [{"type": "sink", "name": "null", "files": ["/dev/null"], "shared": 2}]}`)
	ctx, cancel := context.WithCancel(timeout(t))
	defer cancel()
	ch, err := d.Fingerprint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	fp := next(t, ch, "fingerprint")
	if fp.Error != nil || len(fp.Devices) != 1 || fp.Devices[0].Validate() != nil || fp.Devices[0].Vendor != "linux" || len(fp.Devices[0].Devices) != 2 || fp.Devices[0].Devices[0].ID != "/dev/null" {
		t.Fatalf("fingerprint %s", harness.Pretty(fp))
	}
	r, err := d.Reserve([]string{"/dev/null"})
	if err != nil || r.Envs["HOST_DEVICES"] != "/dev/null" || len(r.Devices) != 1 || r.Devices[0].HostPath != "/dev/null" || r.Devices[0].CgroupPerms != "rw" {
		t.Errorf("reservation %s, %v", harness.Pretty(r), err)
	}
	// It measures nothing: the stream ends without an error, which that host takes as no more statistics.
	stats, err := d.Stats(ctx, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case s, open := <-stats:
		if open {
			t.Errorf("statistics %s", harness.Pretty(s))
		}
	case <-time.After(limit):
		t.Error("the stream does not end")
	}
}
