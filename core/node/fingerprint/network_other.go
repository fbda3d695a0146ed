//go:build !linux

package fingerprint

import (
	"net"
	"net/netip"
)

// defaultRoute asks the system which source address it would use for an address elsewhere. No packet is sent: 192.0.2.1
// is reserved for documentation and connecting a datagram socket only consults the routes.
func defaultRoute(ifaces []iface) string {
	c, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		return ""
	}
	defer c.Close()
	local, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return ""
	}
	for _, i := range ifaces {
		for _, p := range i.addrs {
			if p.Addr() == local.Addr().Unmap() {
				return i.name
			}
		}
	}
	return ""
}

func linkSpeed(string) int { return defaultSpeed }
