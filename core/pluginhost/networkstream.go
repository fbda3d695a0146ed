package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/network"
)

// What a network plugin may send, at most.
const (
	offersGap = time.Second // between two offers: each one registers the node again
	maxModes  = 1024
)

// networkOffers follows what a network plugin offers.
func (g *generation) networkOffers(ctx context.Context, s *session) {
	g.reopen(ctx, func() error {
		return s.client.Network().Offers(ctx, func(o *network.Offers) error {
			if err := checkOffers(o); err != nil {
				return err
			}
			g.offered(ctx, s, o)
			return pause(ctx, offersGap)
		})
	}, func(err error) {
		if err == nil {
			return
		}
		reason := "failed to list its networks: " + cut(err.Error(), maxDescription)
		if !errors.Is(err, host.ErrPluginDown) { // it is there, and says what cannot be used
			g.postFrom(ctx, s, lifecycle.Event{Kind: lifecycle.Health, Reason: reason, Detected: true})
			return
		}
		g.postFrom(ctx, s, lifecycle.Event{Kind: lifecycle.Lost, Reason: reason})
		g.endIfCutOff(ctx, s)
	})
}

// checkOffers reports why an offer cannot be used; that each mode is well formed has been checked.
func checkOffers(o *network.Offers) error {
	if len(o.Modes) > maxModes {
		return fmt.Errorf("it offers %d network modes, more than %d", len(o.Modes), maxModes)
	}
	seen := map[string]bool{}
	for _, m := range o.Modes {
		if seen[m.Name] {
			return fmt.Errorf("it offers the network mode %s twice", m.Name)
		}
		seen[m.Name] = true
	}
	return nil
}

// offered takes over an offer, which replaces the one before.
func (g *generation) offered(ctx context.Context, s *session, o *network.Offers) {
	modes := make([]network.Mode, 0, len(o.Modes))
	sick := 0
	for _, m := range o.Modes {
		if !m.Healthy {
			sick++
		}
		m.Description = cut(m.Description, maxDescription)
		modes = append(modes, m)
	}
	attributes := map[string]string{}
	for key, value := range o.Attributes {
		if len(attributes) < maxAttributes && len(key) <= maxAttributeKey && len(value) <= maxAttributeText {
			attributes[key] = value
		}
	}
	h := g.family.host
	h.mu.Lock()
	g.modes, g.attributes = modes, attributes
	h.mu.Unlock()
	words := fmt.Sprintf("%d network modes", len(modes))
	if sick > 0 {
		words += fmt.Sprintf(", %d of them unhealthy", sick)
	}
	g.postFrom(ctx, s, lifecycle.Event{Kind: lifecycle.Health, Reason: words, Healthy: true, Detected: true})
}
