package server

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/membership"
)

// Regions are all that this server knows, its own first. A region whose servers have all left is forgotten.
func (s *Server) Regions() []string {
	if s.members == nil {
		return []string{s.cfg.Region}
	}
	return regionsOf(s.cfg.Region, s.members.Members())
}

func regionsOf(own string, members []membership.Member) []string {
	out := []string{own}
	for _, m := range members {
		if m.Status != membership.Left && !slices.Contains(out, m.Region) {
			out = append(out, m.Region)
		}
	}
	slices.Sort(out[1:])
	return out
}

// RegionServers are the RPC addresses of the servers of a region that gossip now, in random order. The error tells a region that nobody knows from one that is out of reach.
func (s *Server) RegionServers(region string) ([]string, error) {
	var members []membership.Member
	if s.members != nil {
		members = s.members.Members()
	}
	out, err := reachable(s.cfg.Region, region, members)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out, err
}

func reachable(own, region string, members []membership.Member) ([]string, error) {
	known, out := 0, []string(nil)
	for _, m := range members {
		if m.Region != region || m.Status == membership.Left {
			continue
		}
		known++
		if m.Status == membership.Alive {
			out = append(out, m.RPCAddr)
		}
	}
	switch {
	case known == 0:
		return nil, fmt.Errorf("No path to region %q: the regions known here are %s; servers of different regions find each other by `drover server join` or server_join",
			region, strings.Join(regionsOf(own, members), ", "))
	case len(out) == 0:
		return nil, fmt.Errorf("No path to region %q: none of its %d servers can be reached", region, known)
	}
	return out, nil
}
