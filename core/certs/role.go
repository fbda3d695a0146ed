package certs

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// Role is what the holder of a certificate may do.
type Role string

// The roles; the second words of `drover tls cert create`.
const (
	Server Role = "server" // everything between servers, and what a node does
	Client Role = "client" // what a node does
	CLI    Role = "cli"    // calls the HTTP API
)

// Domains end the names that carry a role: <role>.<region>.<domain>. The second is that of certificates made for Nomad.
var Domains = [...]string{"drover", "nomad"}

// Name is the name that gives a role in a region.
func Name(role Role, region string) string { return string(role) + "." + region + "." + Domains[0] }

// Identity is one role that a certificate gives.
type Identity struct {
	Role   Role
	Region string
}

// Identities are the roles that a certificate's DNS names give. Other names, and the common name, give none; neither do
// wildcards.
func Identities(cert *x509.Certificate) []Identity {
	var out []Identity
	for _, name := range cert.DNSNames {
		role, rest, ok := strings.Cut(strings.ToLower(name), ".")
		if !ok || !slices.Contains([]Role{Server, Client, CLI}, Role(role)) {
			continue
		}
		i := strings.LastIndex(rest, ".")
		if i < 1 || !slices.Contains(Domains[:], rest[i+1:]) {
			continue
		}
		if id := (Identity{Role(role), rest[:i]}); !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// Require checks that a certificate gives one of these roles in a region; region "" is any.
func Require(cert *x509.Certificate, region string, roles ...Role) error {
	for _, id := range Identities(cert) {
		if (region == "" || strings.EqualFold(region, id.Region)) && slices.Contains(roles, id.Role) {
			return nil
		}
	}
	var want []string
	for _, r := range roles {
		want = append(want, fmt.Sprintf("%s.%s.%s", r, orAny(region), Domains[0]))
	}
	return fmt.Errorf("its certificate has not the name %s: it has %s", strings.Join(want, " or "), namesOf(cert))
}

func orAny(region string) string {
	if region == "" {
		return "<region>"
	}
	return region
}

// namesOf lists names for an error, bounded: they come from outside.
func namesOf(cert *x509.Certificate) string {
	const most = 8
	var names []string
	for _, n := range cert.DNSNames[:min(len(cert.DNSNames), most)] {
		names = append(names, fmt.Sprintf("%.100q", n))
	}
	switch {
	case len(names) == 0:
		return "no DNS name"
	case len(cert.DNSNames) > most:
		return strings.Join(names, ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}
