package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

func networkChecks() []check {
	return []check{
		{name: "driver/network", of: plugin.TypeDriver, run: checkNetwork,
			reason: "a driver that makes networks is asked again after restarts, and for allocations that it has forgotten"},
	}
}

func checkNetwork(ctx context.Context, s *session) error {
	d, err := s.usable(ctx)
	if err != nil {
		return err
	}
	const alloc = "c0f0c0f0-0000-4000-8000-000000000001"
	if !s.caps.MustCreateNetwork {
		if _, err := d.CreateNetwork(ctx, &driver.CreateNetworkRequest{AllocID: alloc}); err == nil {
			return errors.New("it makes networks, but does not say so in its capabilities")
		} else if errors.Is(err, host.ErrPluginDown) {
			return err
		}
		return skip("the driver makes no networks")
	}
	first, err := d.CreateNetwork(ctx, &driver.CreateNetworkRequest{AllocID: alloc, Hostname: "conformance"})
	if err != nil {
		return err
	}
	destroy := &driver.DestroyNetworkRequest{AllocID: alloc, Network: first.Network}
	again, err := d.CreateNetwork(ctx, &driver.CreateNetworkRequest{AllocID: alloc, Hostname: "conformance"})
	if err != nil {
		return errors.Join(fmt.Errorf("make the network a second time: %w", err), d.DestroyNetwork(ctx, destroy))
	}
	for range 2 { // the second time it is unknown
		if err := d.DestroyNetwork(ctx, destroy); err != nil {
			return err
		}
	}
	switch {
	case first.Network == nil:
		return errors.New("it made a network and does not say which")
	case again.Network == nil || again.Network.Path != first.Network.Path:
		return errors.New("making the network a second time made another one")
	case again.Created:
		return errors.New("making the network a second time says that it is new")
	}
	return nil
}
