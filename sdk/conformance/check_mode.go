package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/network"
	"github.com/droverhq/drover/sdk/plugin"
)

func modeChecks() []check {
	return []check{
		{name: "network/offers-immediate", of: plugin.TypeNetwork, run: checkOffers,
			reason: "a node registers when its network plugins have spoken, and jobs are placed by what they offer"},
		{name: "network/setup-repeatable", of: plugin.TypeNetwork, run: checkSetupTwice,
			reason: "a network is set up again after every restart of the agent, while its tasks run in it"},
		{name: "network/status", of: plugin.TypeNetwork, run: checkNetworkStatus,
			reason: "the addresses that people and services see come from the status"},
		{name: "network/setup-unknown-mode", of: plugin.TypeNetwork, run: checkUnknownMode,
			reason: "a mode may go while an allocation is on its way here; what cannot be set up must leave nothing"},
		{name: "network/teardown", of: plugin.TypeNetwork, run: checkTeardown,
			reason: "a teardown is repeated until it succeeds, and may be about an allocation that the plugin never saw"},
		{name: "network/survives-kill", of: plugin.TypeNetwork, run: checkNetworkSurvives,
			reason: "the plugin's process may end at any moment; networks of running tasks stay as they are"},
		{name: "network/reconcile", of: plugin.TypeNetwork, run: checkReconcile,
			reason: "what is left over after crashes goes, and what is new must not be taken for a leftover"},
	}
}

// networks returns the plugin, initialised.
func (s *session) networks(ctx context.Context) (*host.Network, error) {
	p, err := s.process(ctx)
	if err != nil {
		return nil, err
	}
	state := filepath.Join(s.dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	n := p.Client.Network()
	return n, n.Init(ctx, &network.Node{StateDir: state, Owner: "conformance-" + s.marker, Settings: s.config.NetworkSettings})
}

func (s *session) offers(ctx context.Context, n *host.Network) (*network.Offers, error) {
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	var first *network.Offers
	err := n.Offers(ctx, func(o *network.Offers) error {
		first = o
		return enough
	})
	switch {
	case errors.Is(err, enough):
		return first, nil
	case err == nil:
		return nil, errors.New("the stream ended without offers")
	case ctx.Err() != nil:
		return nil, fmt.Errorf("no offers within %s", promptly)
	}
	return nil, err
}

func checkOffers(ctx context.Context, s *session) error {
	n, err := s.networks(ctx)
	if err != nil {
		return err
	}
	o, err := s.offers(ctx, n)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, m := range o.Modes {
		if seen[m.Name] {
			return fmt.Errorf("mode %s is offered twice", m.Name)
		}
		seen[m.Name] = true
		if !m.Healthy && m.Description == "" {
			return warn(fmt.Errorf("mode %s is not healthy and does not say why", m.Name))
		}
	}
	return nil
}

// sample is an allocation in a mode that can be had: the configured one, else the first that is healthy.
func (s *session) sample(ctx context.Context, n *host.Network, number int) (*network.Allocation, error) {
	mode := s.config.NetworkMode
	if mode == "" {
		o, err := s.offers(ctx, n)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(o.Modes, func(m network.Mode) bool { return m.Healthy })
		if i < 0 {
			return nil, skip("no mode is healthy here; name one in NetworkMode")
		}
		mode = o.Modes[i].Name
	}
	return &network.Allocation{ID: fmt.Sprintf("c0f0c0f0-0000-4000-8000-%.8s%04d", s.marker, number),
		Networks: []network.Attachment{{Mode: mode}}}, nil
}

// revision grows with every call.
func revision() uint64 { return uint64(time.Now().UnixNano()) }

// withSample sets a sample up, calls f, and tears it down whatever happened.
func (s *session) withSample(ctx context.Context, f func(n *host.Network, a *network.Allocation, st *network.Status) error) error {
	n, err := s.networks(ctx)
	if err != nil {
		return err
	}
	a, err := s.sample(ctx, n, 1)
	if err != nil {
		return err
	}
	st, err := n.Setup(ctx, a, revision())
	if err == nil {
		err = f(n, a, st)
	}
	last, lost := s.networks(context.WithoutCancel(ctx)) // f may have ended the process
	if lost != nil {
		return errors.Join(err, lost)
	}
	return errors.Join(err, last.Teardown(context.WithoutCancel(ctx), &network.TeardownRequest{AllocID: a.ID}, revision()))
}

func checkSetupTwice(ctx context.Context, s *session) error {
	return s.withSample(ctx, func(n *host.Network, a *network.Allocation, first *network.Status) error {
		again, err := n.Setup(ctx, a, revision())
		if err != nil {
			return fmt.Errorf("set up a second time: %w", err)
		}
		return sameNetwork(first, again)
	})
}

func sameNetwork(a, b *network.Status) error {
	if a.NamespacePath != b.NamespacePath {
		return fmt.Errorf("the namespace was %s and is %s now", a.NamespacePath, b.NamespacePath)
	}
	if !reflect.DeepEqual(a.Interfaces, b.Interfaces) {
		return fmt.Errorf("the interfaces were %+v and are %+v now", a.Interfaces, b.Interfaces)
	}
	return nil
}

func checkNetworkStatus(ctx context.Context, s *session) error {
	return s.withSample(ctx, func(n *host.Network, a *network.Allocation, st *network.Status) error {
		got, err := n.Status(ctx, a.ID)
		if err != nil {
			return err
		}
		if !got.Healthy {
			return fmt.Errorf("a network that was just set up is not healthy: %s", got.Description)
		}
		if _, err := n.Status(ctx, "c0f0c0f0-0000-4000-8000-000000000000"); !errors.Is(err, network.ErrUnknown) {
			return fmt.Errorf("the status of an unknown allocation answers %v, not that there is none", err)
		}
		return sameNetwork(st, got)
	})
}

func checkUnknownMode(ctx context.Context, s *session) error {
	n, err := s.networks(ctx)
	if err != nil {
		return err
	}
	a := &network.Allocation{ID: "c0f0c0f0-0000-4000-8000-" + s.marker[:8] + "0009", Networks: []network.Attachment{{Mode: "cni/there-is-no-such-network"}}}
	_, err = n.Setup(ctx, a, revision())
	listed, lerr := n.List(ctx)
	if lerr != nil {
		return lerr
	}
	torn := n.Teardown(ctx, &network.TeardownRequest{AllocID: a.ID}, revision())
	switch {
	case err == nil:
		return errors.New("a network of a mode that is not offered was set up")
	case errors.Is(err, host.ErrPluginDown):
		return err
	case slices.Contains(listed, a.ID):
		return errors.New("a setup that failed left something behind")
	}
	return torn
}

func checkTeardown(ctx context.Context, s *session) error {
	return s.withSample(ctx, func(n *host.Network, a *network.Allocation, _ *network.Status) error {
		listed, err := n.List(ctx)
		if err != nil {
			return err
		}
		if !slices.Contains(listed, a.ID) {
			return errors.New("a network that was set up is not listed")
		}
		for _, id := range []string{a.ID, a.ID, "c0f0c0f0-0000-4000-8000-000000000000"} {
			if err := n.Teardown(ctx, &network.TeardownRequest{AllocID: id}, revision()); err != nil {
				return err
			}
		}
		if listed, err = n.List(ctx); err == nil && slices.Contains(listed, a.ID) {
			return errors.New("a network that was torn down is still listed")
		}
		return err
	})
}

func checkNetworkSurvives(ctx context.Context, s *session) error {
	return s.withSample(ctx, func(_ *host.Network, a *network.Allocation, first *network.Status) error {
		s.end() // killed
		n, err := s.networks(ctx)
		if err != nil {
			return err
		}
		if listed, err := n.List(ctx); err != nil || !slices.Contains(listed, a.ID) {
			return errors.Join(errors.New("the plugin was killed, and its successor does not list the network"), err)
		}
		again, err := n.Setup(ctx, a, revision())
		if err != nil {
			return fmt.Errorf("set up by its successor: %w", err)
		}
		return sameNetwork(first, again)
	})
}

func checkReconcile(ctx context.Context, s *session) error {
	return s.withSample(ctx, func(n *host.Network, a *network.Allocation, _ *network.Status) error {
		before := revision()
		stray, err := s.sample(ctx, n, 2)
		if err != nil {
			return err
		}
		if _, err := n.Setup(ctx, stray, revision()); err != nil {
			return err
		}
		defer func() {
			_ = n.Teardown(context.WithoutCancel(ctx), &network.TeardownRequest{AllocID: stray.ID}, revision())
		}()
		has := func(id string) bool {
			listed, lerr := n.List(ctx)
			err = errors.Join(err, lerr)
			return slices.Contains(listed, id)
		}
		if _, err := n.Reconcile(ctx, []*network.Allocation{a}, before); err != nil {
			return err
		}
		if !has(stray.ID) {
			return errors.New("a network that was set up after the reconciliation was asked for is gone")
		}
		if _, err := n.Reconcile(ctx, []*network.Allocation{a}, revision()); err != nil {
			return err
		}
		if has(stray.ID) {
			return errors.New("a network that nobody wants is still listed")
		}
		if !has(a.ID) {
			return errors.New("a network that is wanted is gone")
		}
		return err
	})
}
