package model

import (
	"hash/fnv"
	"slices"
	"strings"
)

// ChooseServices picks n registrations by rendezvous hashing: the same key gets the same ones, and only those are
// exchanged that went away.
func ChooseServices(items []*ServiceRegistration, n int, key string) []*ServiceRegistration {
	weight := func(r *ServiceRegistration) uint64 {
		h := fnv.New64a()
		h.Write([]byte(r.AllocID))
		h.Write([]byte(key))
		return h.Sum64()
	}
	items = slices.Clone(items)
	slices.SortFunc(items, func(a, b *ServiceRegistration) int {
		if wa, wb := weight(a), weight(b); wa != wb {
			if wa < wb {
				return -1
			}
			return 1
		}
		return strings.Compare(a.ID, b.ID)
	})
	return items[:min(n, len(items))]
}
