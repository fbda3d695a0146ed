package membership

import (
	"net"
	"strconv"

	"github.com/hashicorp/serf/serf"
)

// role marks those that take part as servers, by the value that tools in use look for.
const role = "nomad"

// tags is how a member describes itself; names and values are those of the agent's API.
func (m *Member) tags() map[string]string {
	host, port, _ := net.SplitHostPort(m.RPCAddr)
	t := map[string]string{
		"role": role, "id": m.ID, "region": m.Region, "dc": m.Datacenter, "build": m.Build, "vsn": "1", "raft_vsn": "3",
		"rpc_addr": host, "port": port,
	}
	switch {
	case m.Expect == 1:
		t["bootstrap"] = "1"
	case m.Expect > 1:
		t["expect"] = strconv.Itoa(m.Expect)
	}
	if m.NonVoter {
		t["nonvoter"] = "1"
	}
	return t
}

// Tags of a server that does not gossip.
func (m *Member) TagsOf() map[string]string { return m.tags() }

func member(m serf.Member) Member {
	expect, _ := strconv.Atoi(m.Tags["expect"])
	if m.Tags["bootstrap"] == "1" {
		expect = 1
	}
	name := m.Name
	if suffix := "." + m.Tags["region"]; len(name) > len(suffix) && name[len(name)-len(suffix):] == suffix {
		name = name[:len(name)-len(suffix)]
	}
	return Member{
		ID: m.Tags["id"], Name: name, Region: m.Tags["region"], Datacenter: m.Tags["dc"], Build: m.Tags["build"], Expect: expect,
		NonVoter: m.Tags["nonvoter"] == "1", RPCAddr: net.JoinHostPort(m.Tags["rpc_addr"], m.Tags["port"]),
		Addr: m.Addr, Port: int(m.Port), Status: status(m.Status), Tags: m.Tags,
	}
}

func status(s serf.MemberStatus) Status {
	switch s {
	case serf.StatusAlive:
		return Alive
	case serf.StatusLeaving:
		return Leaving
	case serf.StatusLeft:
		return Left
	}
	return Failed
}
