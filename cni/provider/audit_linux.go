package provider

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"time"

	"github.com/droverhq/drover/cni/conflist"
	"github.com/droverhq/drover/cni/netns"
	"github.com/droverhq/drover/cni/record"
	"github.com/droverhq/drover/cni/rules"
	"github.com/droverhq/drover/sdk/network"
)

// Audit implements network.WithAudit.
func (p *Provider) Audit(ctx context.Context, wanted []*network.Allocation) ([]network.Finding, error) {
	t, err := p.tools()
	if err != nil {
		return nil, err
	}
	var findings []network.Finding
	var records []*record.Record
	for _, a := range wanted {
		r, err := t.records.Get(a.ID)
		switch {
		case errors.Is(err, network.ErrUnknown):
			findings = append(findings, network.Finding{AllocID: a.ID, Reason: "it has no network"})
		case err != nil:
			findings = append(findings, network.Finding{AllocID: a.ID, Reason: err.Error()})
		default:
			records = append(records, r)
		}
	}
	found, err := t.audit(ctx, records)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if why := found[r.Alloc.ID]; why != "" {
			findings = append(findings, network.Finding{AllocID: r.Alloc.ID, Reason: why})
		}
	}
	if err := p.sweepForwards(ctx, &t); err != nil {
		p.log.Warn("rules of the firewall plugin are left over", "error", err)
	}
	if err := t.releaseUnwritten(ctx); err != nil {
		p.log.Warn("leases are left over", "error", err)
	}
	return findings, nil
}

// releaseUnwritten gives back what host-local was ended over, in all directories together within seconds: somebody else
// may hold the lock of one, and the next audit comes soon.
func (t *tools) releaseUnwritten(ctx context.Context) error {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dirs, err := t.leaseDirs()
	errs := []error{err}
	for _, dir := range dirs {
		errs = append(errs, rules.ReleaseUnwritten(ctx, dir))
	}
	return errors.Join(errs...)
}

// audit says of each record what of it is missing.
func (t *tools) audit(ctx context.Context, records []*record.Record) (map[string]string, error) {
	wrong := map[string]string{}
	seen, err := t.look(ctx, records)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		why := inside(r)
		if why == "" {
			why = outside(r, seen)
		}
		if why != "" {
			wrong[r.Alloc.ID] = why
		}
	}
	return wrong, nil
}

// sight is what exists outside of namespaces.
type sight struct {
	rules  map[string]int                   // how many, by table and container id
	leased map[string]map[netip.Addr]string // container ids by directory and address
}

// look reads what records should have outside of their namespaces.
func (t *tools) look(ctx context.Context, records []*record.Record) (sight, error) {
	seen := sight{map[string]int{}, map[string]map[netip.Addr]string{}}
	listed := false
	for _, r := range records {
		for _, n := range r.Networks {
			traces := conflist.TracesOf(n.Conf)
			if (traces.Masquerade || traces.Ports) && !listed {
				listed = true
				list, err := rules.Nft(ctx, t.prefix)
				if err != nil {
					return seen, err
				}
				for _, r := range list {
					seen.rules[r.Table+" "+r.ContainerID]++
				}
			}
			for _, dir := range traces.Leases {
				if seen.leased[dir] != nil {
					continue
				}
				leases, err := rules.Leases(dir)
				if err != nil {
					return seen, err
				}
				seen.leased[dir] = map[netip.Addr]string{}
				for _, l := range leases {
					seen.leased[dir][l.IP] = l.ContainerID
				}
			}
		}
	}
	return seen, nil
}

// inside looks into the namespace.
func inside(r *record.Record) string {
	if !r.Done {
		return "it was set up in part"
	}
	if !netns.Exists(r.Namespace) {
		return "its namespace is gone"
	}
	links, err := netns.Interfaces(r.Namespace)
	if err != nil {
		return err.Error()
	}
	for _, n := range r.Networks {
		link, ok := links[n.Interface]
		if !ok {
			return fmt.Sprintf("its interface %s is gone", n.Interface)
		}
		if !link.Up {
			return fmt.Sprintf("its interface %s is down", n.Interface)
		}
		for _, text := range n.Status.Addresses {
			if want, err := netip.ParsePrefix(text); err == nil && !slices.Contains(link.Addresses, want) {
				return fmt.Sprintf("its interface %s has lost the address %s", n.Interface, text)
			}
		}
	}
	return ""
}

// outside looks for what the networks have outside of the namespace: leases, and rules in nftables.
func outside(r *record.Record, seen sight) string {
	masquerade, ports := 0, 0
	for _, n := range r.Networks {
		traces := conflist.TracesOf(n.Conf)
		addresses := prefixes(n.Status.Addresses)
		for _, p := range addresses {
			if len(traces.Leases) > 0 && !slices.ContainsFunc(traces.Leases, func(dir string) bool { return seen.leased[dir][p.Addr()] == r.ContainerID }) {
				return fmt.Sprintf("the lease of %s is gone", p.Addr())
			}
		}
		if traces.Masquerade && !rules.CutOff(traces.Name, n.Interface, r.ContainerID) {
			masquerade += len(addresses)
		}
		if traces.Ports {
			ports += portRules(r.Alloc.Ports, n.Mode, addresses, traces.SNAT)
		}
	}
	if seen.rules["cni_plugins_masquerade "+r.ContainerID] < masquerade {
		return "its masquerading rules are gone"
	}
	if have := seen.rules["cni_hostport "+r.ContainerID]; have < ports {
		return fmt.Sprintf("%d of %d rules of its ports are gone", ports-have, ports)
	}
	return ""
}

func prefixes(texts []string) (list []netip.Prefix) {
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// portRules is how many rules the portmap plugin makes for an interface of a mode: those of each family that it has an
// address of.
func portRules(ports []network.Port, mode string, addresses []netip.Prefix, snat bool) int {
	rules := 0
	for _, v6 := range []bool{false, true} {
		if slices.ContainsFunc(addresses, func(p netip.Prefix) bool { return p.Addr().Is6() == v6 }) {
			rules += familyRules(ports, mode, v6, snat)
		}
	}
	return rules
}

// familyRules is how many of them are of one family: two of each port that it has (TCP and UDP), and with snat those that
// let the allocation itself in, and the host by its loopback, which IPv6 has none of.
func familyRules(ports []network.Port, mode string, v6, snat bool) int {
	const hairpin, loopback = 1, 1
	rules, asked := 0, false
	for _, p := range ports {
		if p.Mode != "" && p.Mode != mode {
			continue
		}
		asked = true
		if ip, err := netip.ParseAddr(p.HostIP); err == nil && ip.Is6() != v6 {
			continue
		}
		rules += 2
	}
	switch {
	case !asked:
		return 0
	case !snat:
		return rules
	case v6:
		return rules + hairpin
	}
	return rules + hairpin + loopback
}

// wrong is audit for one record, and asks the plugins of networks that are not the built-in one.
func (t *tools) wrong(ctx context.Context, r *record.Record) string {
	found, err := t.audit(ctx, []*record.Record{r})
	if err != nil {
		return err.Error()
	}
	if why := found[r.Alloc.ID]; why != "" {
		return why
	}
	for _, n := range r.Networks {
		if n.Mode == conflist.BridgeMode {
			continue
		}
		if err := t.runtime.Check(ctx, r, n); err != nil {
			return err.Error()
		}
	}
	return ""
}

// sweepForwards removes the firewall plugin's rules about addresses of the bridge that nobody has: they carry no id.
func (p *Provider) sweepForwards(ctx context.Context, t *tools) error {
	if _, err := exec.LookPath("iptables"); err != nil {
		return nil
	}
	if !p.bridge.TryLock() {
		return nil // an allocation is being attached: its rules may be there before its record says so
	}
	defer p.bridge.Unlock()
	subnets, err := t.Bridge.Subnets()
	if err != nil {
		return nil
	}
	list, err := rules.Forwards(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	leases, err := rules.Leases(t.leaseDir())
	if err != nil {
		return err
	}
	stray := slices.DeleteFunc(list, func(f rules.Forward) bool {
		ours := slices.ContainsFunc(subnets, func(s netip.Prefix) bool { return s.Contains(f.IP) })
		return !ours || slices.ContainsFunc(leases, func(l rules.Lease) bool { return l.IP == f.IP })
	})
	return rules.DeleteForwards(ctx, stray)
}
