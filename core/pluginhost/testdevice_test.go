//go:build linux

package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/plugin"
)

// serveDevices makes this test binary a device plugin that lists what is in the file T_LIST and writes what is asked of
// it to that file with ".calls" behind.
func serveDevices() {
	plugin.Serve(device.New(device.Info{Name: envOr("T_NAME", "test"), Version: "1.0.0"}, &testDevices{list: os.Getenv("T_LIST")}))
}

type testDevices struct{ list string }

func (d *testDevices) FingerprintInterval() time.Duration { return 20 * time.Millisecond }

func (d *testDevices) Fingerprint(context.Context) ([]device.Group, error) {
	text, err := os.ReadFile(d.list)
	switch {
	case err != nil:
		return nil, err
	case strings.HasPrefix(string(text), "disabled"):
		return nil, device.ErrDisabled
	case strings.HasPrefix(string(text), "error"):
		return nil, errors.New("the bus is on fire")
	}
	var groups []device.Group
	return groups, json.Unmarshal(text, &groups)
}

func (d *testDevices) Reserve(_ context.Context, req *device.ReserveRequest) (*device.Reservation, error) {
	if req.DeviceIDs[0] == "refused" {
		return nil, errors.New("it is held by the kernel")
	}
	d.note("reserve", req.DeviceIDs)
	return &device.Reservation{Env: map[string]string{"IDS": strings.Join(req.DeviceIDs, ",")}}, nil
}

func (d *testDevices) Release(_ context.Context, ids []string) error { return d.note("release", ids) }

func (d *testDevices) Stats(context.Context) ([]device.GroupStats, error) {
	used := int64(42)
	return []device.GroupStats{{Vendor: "acme", Type: "gpu", Name: "m1",
		Instances: map[string]device.Stats{"g0": {Summary: device.Stat{Int: &used, Unit: "W"}}}}}, nil
}

func (d *testDevices) note(verb string, ids []string) error {
	f, err := os.OpenFile(d.list+".calls", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, verb, ids)
	return err
}
