//go:build linux

package sysfs

import (
	"context"
	"sync"

	"github.com/droverhq/drover/sdk/plugin"
)

// IDs is the config of a plugin that chooses devices by vendor:product, in hexadecimal digits with * for any.
type IDs struct {
	Include []string `config:"include"`
	Exclude []string `config:"exclude"` // wins over Include
}

// Selection is what an operator chose. Its zero value has nothing included and nothing excluded.
type Selection struct {
	mu  sync.Mutex
	ids IDs
}

// Config takes the operator's choice.
func (s *Selection) Config() plugin.ConfigHandler { return plugin.Configure(s.configure) }

func (s *Selection) configure(_ context.Context, c *plugin.Configuration[IDs]) error {
	for _, list := range [][]string{c.Config.Include, c.Config.Exclude} {
		for _, id := range list {
			if err := CheckID(id); err != nil {
				return err
			}
		}
	}
	if c.Node == nil {
		return nil // only checked
	}
	s.Choose(c.Config)
	return nil
}

// Choose replaces the choice; the patterns have been checked.
func (s *Selection) Choose(ids IDs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = ids
}

// Excluded tells whether nobody may have a device.
func (s *Selection) Excluded(id string) bool { return MatchID(s.chosen().Exclude, id) }

// Included tells whether a device was named, be it excluded or not.
func (s *Selection) Included(id string) bool { return MatchID(s.chosen().Include, id) }

// NamesAny tells whether any devices were named.
func (s *Selection) NamesAny() bool { return len(s.chosen().Include) > 0 }

func (s *Selection) chosen() IDs {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids
}
