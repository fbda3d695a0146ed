package explain

import (
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// advice is what would help against one kind of reason. The first whose prefix fits is given.
var advice = []struct{ prefix, text string }{
	{"missing drivers", "install the driver's plugin on them (plugin_dir), or mend what its health says: drover node status -verbose NODE"},
	{"missing devices", "ask for fewer or other devices, or add nodes that have them: drover node status NODE lists a node's"},
	{"devices: ", "stop what holds the devices, ask for fewer, or add nodes that have them"},
	{"network: reserved port collision", "ask for a dynamic port, or for fewer instances than there are nodes"},
	{"network: no addresses available", "name another host_network, or add one of that name to the nodes' client block"},
	{"network: dynamic port selection failed", "stop what holds the ports, or widen min_dynamic_port..max_dynamic_port of the nodes"},
	{"missing network", "install a plugin for that network mode on the nodes, or use another mode"},
	{"network \"", "mend the network plugin: drover node status -verbose NODE says what its health is"},
	{"missing host network", "add the host_network block to the nodes' client block, or name another"},
	{"missing compatible host volumes", "add the host_volume block to the nodes' client block, or name another source"},
	{"distinct_hosts", "lower the count to the number of nodes, or add nodes: each takes one instance"},
}

// help says what would change the outcome, for what is nearest to it.
func (t *text) help() {
	m := t.m
	if len(m.NodesNotReady) > 0 {
		t.say("%s of the job's pool and datacenters %s no allocations at present: %s",
			nodes(total(m.NodesNotReady)), verb(total(m.NodesNotReady), "takes", "take"), tallied(m.NodesNotReady))
	}
	switch {
	case m.NodesInPool == 0 && m.NodesNotReady == nil:
		t.say("What would help: a node in pool %q (node_pool in its client block), or another node_pool in the job", m.NodePool)
		return
	case total(m.NodesAvailable) == 0 && len(m.NodesElsewhere) > 0:
		t.say("What would help: datacenters of the job that match those with ready nodes: %s", tally(m.NodesElsewhere))
		return
	case total(m.NodesAvailable) == 0 && len(m.NodesNotReady) > 0:
		t.say("What would help: bring those nodes back or make them eligible (drover node eligibility -enable NODE), or add nodes")
		return
	}
	if len(m.NearMisses) > 0 {
		t.say("What would help: %s", helpWith(m.NearMisses[0]))
	}
}

func helpWith(n *model.NearMiss) string {
	for _, a := range advice {
		if slices.ContainsFunc(n.Reasons, func(r string) bool { return strings.HasPrefix(r, a.prefix) }) {
			return a.text
		}
	}
	if len(n.Reasons) > 0 && strings.Contains(n.Reasons[0], "distinct_property") {
		return "a higher number in distinct_property, a lower count, or nodes with other values"
	}
	if len(n.Reasons) > 0 {
		return "loosen " + quoted(n.Reasons) + ", or add nodes that meet " + verb(len(n.Reasons), "it", "them")
	}
	if n.Beyond {
		return "ask for at least that much less, or add larger nodes: an empty one of these would not do either"
	}
	if n.Lacks["allocations"] > 0 {
		return "stop allocations there, raise node_max_allocs of the nodes, or add nodes"
	}
	return "free " + amounts(n.Lacks) + " on " + verb(n.Nodes, "it", "one of them") + ", ask for that much less, or add a node with room"
}
