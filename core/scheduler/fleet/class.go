package fleet

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// ComputedClass names the set of nodes that no cached check can tell apart: same datacenter, class, pool, attributes and
// meta (those named unique.* aside), devices, networks offered, which drivers cannot join them, and drivers' config schemas
// (the last three because the checks of networks and configs are cached as well). Driver health is not part of it.
func ComputedClass(n *model.Node) string {
	h := fnv.New64a()
	write := func(parts ...string) {
		for _, p := range parts {
			h.Write([]byte(p))
			h.Write([]byte{0})
		}
	}
	write(n.Datacenter, n.NodeClass, n.NodePool)
	pairs := func(m map[string]string) {
		keys := make([]string, 0, len(m))
		for k := range m {
			if !strings.HasPrefix(k, "unique.") {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		write(strconv.Itoa(len(keys)))
		for _, k := range keys {
			write(k, m[k])
		}
	}
	pairs(n.Attributes)
	pairs(n.Meta)
	schemas := make(map[string]string, len(n.Drivers))
	apart := map[string]string{}
	for name, d := range n.Drivers {
		if !d.Joins() {
			apart[name] = ""
		}
		if d != nil && d.SchemaDigest != "" {
			schemas[name] = d.SchemaDigest
		}
	}
	if len(schemas) > 0 {
		write("schemas")
		pairs(schemas)
	}
	if len(apart) > 0 {
		write("apart")
		pairs(apart)
	}
	if r := n.NodeResources; r != nil {
		for _, d := range r.Devices {
			write("device", d.Vendor, d.Type, d.Name)
			attributes := make(map[string]string, len(d.Attributes))
			for k, v := range d.Attributes {
				attributes[k] = v.Text()
			}
			pairs(attributes)
		}
		for _, name := range offeredNetworks(r) {
			write("network", name)
		}
	}
	return "v1:" + strconv.FormatUint(h.Sum64(), 10)
}

// offeredNetworks lists the network modes and host networks of a node, sorted.
func offeredNetworks(r *model.NodeResources) []string {
	var out []string
	for _, n := range r.Networks {
		out = append(out, "mode "+n.Mode)
	}
	for _, dev := range r.NodeNetworks {
		out = append(out, "mode "+dev.Mode)
		for _, a := range dev.Addresses {
			out = append(out, "alias "+a.Alias)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
