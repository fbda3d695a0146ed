package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// fromForeignPage reports a request that changes something and that a browser sends for a page which is not ours: any
// page that somebody on this machine looks at can post a form to the loopback address, and a job runs as the agent's
// user. A websocket is such a request too, although it begins with GET: commands run through it. A token in a header is
// proof enough of the contrary, since pages cannot add one to such requests unasked.
//
// A page can also be of our origin by name only, when its name server answers with our address later on. So on loopback
// the name must be one that nobody else hands out.
func fromForeignPage(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		if r.Header.Get("Upgrade") == "" {
			return false
		}
	}
	if r.Header.Get("Origin") == "" || r.Header.Get("X-Nomad-Token") != "" || r.Header.Get("Authorization") != "" {
		return false
	}
	return !sameOrigin(r) || onLoopback(r) && !ownName(r.Host)
}

func onLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	ap, err := netip.ParseAddrPort(addr.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// ownName reports a host that is an address or localhost.
func ownName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
