package network

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// ErrUnknown is Status's answer for an allocation without a network.
var ErrUnknown = errors.New("the allocation has no network here")

// ErrOvertaken is the answer to an order that a later one has made void.
var ErrOvertaken = errors.New("a later request about the allocation has been carried out")

const maxID = 128

// Validate reports why no plugin should be asked for the network.
func (a *Allocation) Validate() error {
	if err := validID(a.ID); err != nil {
		return err
	}
	if len(a.Networks) == 0 {
		return fmt.Errorf("allocation %s: it asks for no network", a.ID)
	}
	interfaces := map[string]bool{}
	for _, n := range a.Networks {
		if n.Mode == "" {
			return fmt.Errorf("allocation %s: a network has no mode", a.ID)
		}
		if n.Interface != "" && interfaces[n.Interface] {
			return fmt.Errorf("allocation %s: two networks ask for interface %s", a.ID, n.Interface)
		}
		interfaces[n.Interface] = true
	}
	for _, p := range a.Ports {
		if p.HostPort < 1 || p.HostPort > 65535 || p.Port < 1 || p.Port > 65535 {
			return fmt.Errorf("allocation %s: port %q: %d -> %d is not within 1..65535", a.ID, p.Label, p.HostPort, p.Port)
		}
		if p.HostIP == "" {
			continue
		}
		if _, err := netip.ParseAddr(p.HostIP); err != nil {
			return fmt.Errorf("allocation %s: port %q: host ip: %w", a.ID, p.Label, err)
		}
	}
	return nil
}

// validID keeps ids from becoming paths.
func validID(id string) error {
	if id == "" || len(id) > maxID || strings.Trim(id, ".") == "" || strings.ContainsAny(id, "/\\\x00") {
		return fmt.Errorf("%.60q is no allocation id", id)
	}
	return nil
}

// Validate reports what a plugin said that its host cannot use.
func (s *Status) Validate() error {
	if s.NamespacePath == "" {
		return fmt.Errorf("allocation %s: the status names no namespace", s.AllocID)
	}
	for _, i := range s.Interfaces {
		for _, text := range i.Addresses {
			if _, err := netip.ParsePrefix(text); err != nil {
				return fmt.Errorf("allocation %s: interface %s: %w", s.AllocID, i.Name, err)
			}
		}
	}
	return nil
}

// Validate reports why a mode cannot be offered.
func (m *Mode) Validate() error {
	switch {
	case m.Name == "" || len(m.Name) > maxID || strings.ContainsAny(m.Name, " \t\r\n\x00"):
		return fmt.Errorf("%.60q is no network mode", m.Name)
	case m.Name == "host":
		return errors.New(`mode "host" is the node's own network; no plugin offers it`)
	}
	return nil
}
