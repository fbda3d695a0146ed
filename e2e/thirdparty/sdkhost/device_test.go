// Package sdkhost drives the third-party device plugin through our SDK's host side. It is a module of its own so that
// the plugin is built with its SDK's versions and the host with ours.
package sdkhost

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

const limit = 30 * time.Second

// enough ends a stream that did its duty.
var enough = errors.New("enough")

func launch(t *testing.T, ctx context.Context) *host.Process {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "nomad-device-files")
	cmd := exec.Command("go", "build", "-o", binary, "./device")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the device plugin: %v\n%s", err, out)
	}
	p, err := host.Launch(ctx, host.LaunchConfig{Path: binary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(context.Background()) })
	return p
}

func TestDevicePluginOfAnotherSDK(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
	defer cancel()
	p := launch(t, ctx)
	c := p.Client

	info, err := c.Info(ctx)
	if err != nil || info.Type != plugin.TypeDevice || info.Name != "files" || info.Version != "0.3.0" || !reflect.DeepEqual(info.APIVersions, []string{plugin.APIVersion}) {
		t.Fatalf("info %+v, %v", info, err)
	}
	spec, err := c.ConfigSchema(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d := spec.Validate(map[string]any{"brokn": "x"}); !strings.Contains(d.Error(), "brokn") {
		t.Errorf("a misspelt key: %v", d)
	}
	raw, err := spec.Encode(map[string]any{"broken": "/dev/full"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range []*plugin.NodeConfig{nil, {}} { // first to check it, then to run
		if err := c.SetConfig(ctx, &plugin.RawConfig{Msgpack: raw, Node: node, APIVersion: plugin.APIVersion}); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("fingerprint", func(t *testing.T) {
		var got []device.Group
		err := c.Device().Fingerprint(ctx, func(g []device.Group) error { got = g; return enough })
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
		if len(got) != 2 || got[0].Vendor != "posix" || got[0].Type != "file" || got[0].Name != "sink" || got[1].Name != "source" {
			t.Fatalf("groups %+v", got)
		}
		want := []device.Instance{
			{ID: "/dev/null", Healthy: true, PCIBusID: "0000:00:00.0"},
			{ID: "/dev/full", HealthDescription: "broken by configuration", PCIBusID: "0000:00:01.0"},
		}
		if !reflect.DeepEqual(got[0].Devices, want) {
			t.Errorf("devices %+v, want %+v", got[0].Devices, want)
		}
		for key, want := range map[string]string{"block": "false", "buffer": "4KiB", "ratio": "0.5", "kind": "character"} {
			if v := got[0].Attributes[key]; v.Format() != want {
				t.Errorf("attribute %s is %s, want %s", key, v.Format(), want)
			}
		}
	})
	t.Run("reserve", func(t *testing.T) {
		for range 2 { // repeatable
			r, err := c.Device().Reserve(ctx, []string{"/dev/null", "/dev/zero"})
			if err != nil {
				t.Fatal(err)
			}
			want := &device.Reservation{
				Env:    map[string]string{"FILE_0": "/dev/null", "FILE_1": "/dev/zero"},
				Mounts: []device.Mount{{TaskPath: "/files", HostPath: "/etc", ReadOnly: true}},
				Devices: []device.Node{{TaskPath: "/dev/file0", HostPath: "/dev/null", Permissions: "rw"},
					{TaskPath: "/dev/file1", HostPath: "/dev/zero", Permissions: "rw"}},
			}
			if !reflect.DeepEqual(r, want) {
				t.Errorf("reservation %+v, want %+v", r, want)
			}
		}
		if _, err := c.Device().Reserve(ctx, []string{"/dev/nosuch"}); err == nil || !strings.Contains(err.Error(), `unknown device "/dev/nosuch"`) {
			t.Errorf("an unknown device: %v", err)
		}
		if err := c.Device().Release(ctx, []string{"/dev/null"}); err != nil {
			t.Errorf("a plugin without the extension must not mind a release: %v", err)
		}
	})
	t.Run("stats", func(t *testing.T) {
		var last int64
		err := c.Device().Stats(ctx, 20*time.Millisecond, func(groups []device.GroupStats) error {
			if len(groups) != 2 || groups[0].Name != "sink" || len(groups[0].Instances) != 2 {
				return errors.New("groups are missing")
			}
			s := groups[0].Instances["/dev/null"]
			if s.Summary.Int == nil || *s.Summary.Int <= last || *s.Summary.IntOf != 100 || s.Summary.Unit != "KiB" || s.Tree.Values["moved"].Int == nil || s.Timestamp.IsZero() {
				t.Errorf("sample %+v", s)
				return enough
			}
			if last = *s.Summary.Int; last >= 3 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Error(err)
		}
	})
	t.Run("end", func(t *testing.T) {
		if err := c.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		select {
		case <-p.Done():
		case <-time.After(limit):
			t.Error("it does not end")
		}
	})
}
