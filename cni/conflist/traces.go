package conflist

import "encoding/json"

// Traces are what an attachment by a configuration list has outside of its namespace, as far as it can be told from the
// list and counted later. A backend that the list leaves open is the plugin's own choice, and is not counted.
type Traces struct {
	Name       string   // of the network
	Leases     []string // the directories in which each of its addresses has a lease; nil = other IPAM plugins give some
	Masquerade bool     // each address has a rule in nftables
	Ports      bool     // its ports have rules in nftables,
	SNAT       bool     // and so has what reaches them from the allocation or the host itself
}

const nftables = "nftables"

// TracesOf reads a configuration list; one that cannot be read has none.
func TracesOf(raw []byte) Traces {
	var list struct {
		Name    string
		Plugins []struct {
			Type          string
			IPMasq        bool
			IPMasqBackend string
			Backend       string
			SNAT          *bool
			Capabilities  map[string]bool
			IPAM          struct{ Type string }
		}
	}
	if json.Unmarshal(raw, &list) != nil {
		return Traces{}
	}
	t := Traces{Name: list.Name, Leases: LeaseDirs(raw)}
	for _, p := range list.Plugins {
		switch p.IPAM.Type {
		case "", "host-local":
		default:
			t.Leases = nil
		}
		switch p.Type {
		case "bridge", "ptp":
			t.Masquerade = t.Masquerade || p.IPMasq && p.IPMasqBackend == nftables
		case "portmap":
			t.Ports = p.Backend == nftables && p.Capabilities["portMappings"]
			t.SNAT = p.SNAT == nil || *p.SNAT
		}
	}
	return t
}
