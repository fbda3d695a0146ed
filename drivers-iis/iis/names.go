package iis

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Owner says whose sites and pools are ours: those of this node in this cluster.
type Owner struct{ Cluster, Node string }

// prefix begins the names of everything that this node of this cluster made in IIS.
func (o Owner) prefix() string { return "drover-" + short(o.Cluster+"\x00"+o.Node, 8) + "-" }

// allocPrefix begins the names of everything that belongs to one allocation. The id is in it as it is, for people.
func (o Owner) allocPrefix(alloc string) string { return o.prefix() + alloc + "-" }

// siteName is the name of a task's site. The names of pools, which are limited to 64 characters, are made alike.
func (o Owner) siteName(alloc, task string) string {
	return o.allocPrefix(alloc) + short(task, 8)
}

func (o Owner) poolName(alloc, task, pool string) string {
	return o.allocPrefix(alloc) + short(task+"\x00"+pool, 8)
}

// ours reports whether this node made a site or pool of that name.
func (o Owner) ours(name string) bool { return strings.HasPrefix(name, o.prefix()) }

func short(text string, digits int) string {
	sum := sha256.Sum256([]byte(strings.ToLower(text)))
	return hex.EncodeToString(sum[:])[:digits]
}
