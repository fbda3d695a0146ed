package provider

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"

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
	if err := rules.ReleaseUnwritten(ctx, t.leaseDir()); err != nil {
		p.log.Warn("leases are left over", "error", err)
	}
	return findings, nil
}

// audit says of each record what of it is missing.
func (t *tools) audit(ctx context.Context, records []*record.Record) (map[string]string, error) {
	wrong := map[string]string{}
	count := map[string]int{}
	leased := map[netip.Addr]string{}
	if slices.ContainsFunc(records, (*record.Record).OnBridge) {
		list, err := rules.Nft(ctx, t.prefix)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			count[r.Table+" "+r.ContainerID]++
		}
		leases, err := rules.Leases(t.leaseDir())
		if err != nil {
			return nil, err
		}
		for _, l := range leases {
			leased[l.IP] = l.ContainerID
		}
	}
	for _, r := range records {
		why := inside(r)
		if why == "" && r.OnBridge() {
			why = onBridge(r, count, leased)
		}
		if why != "" {
			wrong[r.Alloc.ID] = why
		}
	}
	return wrong, nil
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

// onBridge looks for what the built-in network has outside of the namespace.
func onBridge(r *record.Record, count map[string]int, leased map[netip.Addr]string) string {
	for _, n := range r.Networks {
		if n.Mode != conflist.BridgeMode {
			continue
		}
		for _, text := range n.Status.Addresses {
			p, err := netip.ParsePrefix(text)
			if err == nil && leased[p.Addr()] != r.ContainerID {
				return fmt.Sprintf("the lease of %s is gone", p.Addr())
			}
		}
		if count["cni_plugins_masquerade "+r.ContainerID] < len(n.Status.Addresses) {
			return "its masquerading rules are gone"
		}
	}
	if have, want := count["cni_hostport "+r.ContainerID], portRules(r); have < want {
		return fmt.Sprintf("%d of %d rules of its ports are gone", want-have, want)
	}
	return ""
}

// portRules is how many rules the portmap plugin makes for an allocation: per address, two of each port that its family
// has (TCP and UDP), and those that let the allocation and the host itself in.
func portRules(r *record.Record) int {
	rules := 0
	for _, n := range r.Networks {
		if n.Mode != conflist.BridgeMode {
			continue
		}
		for _, text := range n.Status.Addresses {
			if p, err := netip.ParsePrefix(text); err == nil {
				rules += familyRules(r.Alloc.Ports, p.Addr().Is6())
			}
		}
	}
	return rules
}

func familyRules(ports []network.Port, v6 bool) int {
	const hairpin, loopback = 1, 1
	rules, asked := 0, false
	for _, p := range ports {
		if p.Mode != "" && p.Mode != conflist.BridgeMode {
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
