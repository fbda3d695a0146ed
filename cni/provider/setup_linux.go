package provider

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/droverhq/drover/cni/conflist"
	"github.com/droverhq/drover/cni/netns"
	"github.com/droverhq/drover/cni/record"
	"github.com/droverhq/drover/cni/rules"
	"github.com/droverhq/drover/sdk/network"
)

// Setup implements network.Network. What is in order stays as it is. Otherwise everything is detached and attached
// anew, with the addresses that it had.
func (p *Provider) Setup(ctx context.Context, a *network.Allocation) (*network.Status, error) {
	t, err := p.tools()
	if err != nil {
		return nil, err
	}
	r, err := t.records.Get(a.ID)
	switch {
	case err == nil:
		if err := t.regain(r); err != nil {
			return nil, err
		}
		why := t.wrong(ctx, r)
		if why == "" {
			return r.Status(), nil
		}
		p.log.Info("network is made anew", "alloc", a.ID, "reason", why)
		if err := t.detach(ctx, r); err != nil {
			p.log.Warn("what was left of a network is not all gone", "alloc", a.ID, "error", err)
		}
		r.Alloc, r.Done = *a, false
	case errors.Is(err, network.ErrUnknown):
		if r, err = p.plan(ctx, &t, a); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	if err := p.make(ctx, &t, r); err != nil {
		clean := context.WithoutCancel(ctx)
		return nil, errors.Join(err, p.Teardown(clean, &network.TeardownRequest{AllocID: a.ID}))
	}
	return r.Status(), nil
}

// plan is the record of what is about to be made.
func (p *Provider) plan(ctx context.Context, t *tools, a *network.Allocation) (*record.Record, error) {
	r := &record.Record{Alloc: *a, ContainerID: t.prefix + a.ID, Namespace: a.NamespacePath}
	if r.Namespace == "" {
		r.Made, r.Namespace = true, namespacePath(a.ID)
	}
	known, err := t.networks()
	if err != nil {
		return nil, err
	}
	if err := portsFree(a.Ports); err != nil {
		return nil, err
	}
	for i, want := range a.Networks {
		if want.Mode == noneMode {
			continue
		}
		n, err := p.find(ctx, t, known, want.Mode)
		if err != nil {
			return nil, err
		}
		name := want.Interface
		if name == "" {
			name = fmt.Sprintf("eth%d", i)
		}
		r.Networks = append(r.Networks, &record.Network{Mode: want.Mode, Interface: name, Conf: n.Raw})
	}
	return r, nil
}

func (p *Provider) find(ctx context.Context, t *tools, known []*conflist.Network, mode string) (*conflist.Network, error) {
	i := slices.IndexFunc(known, func(n *conflist.Network) bool { return n.Mode == mode })
	if i < 0 {
		return nil, fmt.Errorf("network %q is not offered here; %s has no configuration of that name", mode, t.ConfigDir)
	}
	if err := usable(t, known[i], p.binaries.versions(ctx, t.family, t.Path)); err != nil {
		return nil, fmt.Errorf("network %q: %w", mode, err)
	}
	return known[i], nil
}

// portsFree reports a host port that a program of this machine listens on: its traffic would go into the namespace.
func portsFree(ports []network.Port) error {
	for _, p := range ports {
		addr := net.JoinHostPort(p.HostIP, fmt.Sprint(p.HostPort))
		tcp, err := net.Listen("tcp", addr)
		if err == nil {
			tcp.Close()
			var udp net.PacketConn
			if udp, err = net.ListenPacket("udp", addr); err == nil {
				udp.Close()
			}
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("port %d of the host (label %q) is in use by another program; reserve it in the client's reserved.reserved_ports, or end the program", p.HostPort, p.Label)
		}
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			return fmt.Errorf("port %q: the host has no address %s any more", p.Label, p.HostIP)
		}
	}
	return nil
}

// make makes what the record says. The record is on disk before the first step.
func (p *Provider) make(ctx context.Context, t *tools, r *record.Record) error {
	if err := t.records.Put(r); err != nil {
		return err
	}
	if r.Made {
		if err := netns.Make(r.Namespace); err != nil {
			return err
		}
		r.Inode = netns.Inode(r.Namespace)
	} else if !netns.Exists(r.Namespace) {
		return fmt.Errorf("the driver's network namespace %s is gone", r.Namespace)
	}
	p.bridge.RLock()
	defer p.bridge.RUnlock()
	for _, n := range r.Networks {
		if err := t.runtime.Attach(ctx, r, n); err != nil {
			return explain(n.Mode, err)
		}
	}
	r.Done = true
	return t.records.Put(r)
}

// explain adds to errors of the reference plugins what a person can do about them.
func explain(mode string, err error) error {
	if strings.Contains(err.Error(), "no IP addresses available in range set") {
		return fmt.Errorf("the subnet of network %q is exhausted: every address is leased (%w)", mode, err)
	}
	return err
}

// regain gives a namespace its file back that processes still live in: to make another would cut the tasks off.
func (t *tools) regain(r *record.Record) error {
	if !r.Made || !r.Done || r.Inode == 0 || netns.Exists(r.Namespace) {
		return nil
	}
	process := netns.Find(r.Inode)
	if process == "" {
		return nil // nobody is in it
	}
	links, err := netns.Interfaces(process)
	if err != nil {
		return nil // ended meanwhile
	}
	for _, n := range r.Networks {
		if links[n.Interface].MAC != n.Status.MAC {
			return nil // another one has got the number
		}
	}
	return netns.Keep(process, r.Namespace)
}

// detach undoes the attachments, also those that were made in part, and goes on after an error.
func (t *tools) detach(ctx context.Context, r *record.Record) error {
	var errs []error
	dirs := t.knownLeaseDirs()
	for _, n := range slices.Backward(r.Networks) {
		errs = append(errs, t.runtime.Detach(ctx, r, n))
		for _, dir := range conflist.LeaseDirs(n.Conf) {
			dirs = append(dirs, dir)
			errs = append(errs, rules.ReleaseUnwritten(ctx, dir))
		}
	}
	if len(r.Networks) > 0 {
		errs = append(errs, t.sweep(ctx, r.ContainerID, dirs))
	}
	return errors.Join(errs...)
}

// sweep removes the rules and leases that carry a container's id, however they came there.
func (t *tools) sweep(ctx context.Context, containerID string, leaseDirs []string) error {
	found, err := rules.Nft(ctx, containerID[:len(containerID)-1])
	found = slices.DeleteFunc(found, func(r rules.Rule) bool { return r.ContainerID != containerID })
	errs := []error{err, rules.DeleteNft(ctx, found)}
	for _, dir := range leaseDirs {
		leases, err := rules.Leases(dir)
		leases = slices.DeleteFunc(leases, func(l rules.Lease) bool { return l.ContainerID != containerID })
		errs = append(errs, err, rules.Release(leases))
	}
	return errors.Join(errs...)
}

// Teardown implements network.Network.
func (p *Provider) Teardown(ctx context.Context, req *network.TeardownRequest) error {
	t, err := p.tools()
	if err != nil {
		return err
	}
	r, err := t.records.Get(req.AllocID)
	if errors.Is(err, network.ErrUnknown) {
		dirs, err := t.leaseDirs()
		return errors.Join(err, t.sweep(ctx, t.prefix+req.AllocID, dirs)) // old rules that somebody restored
	}
	if err != nil {
		return err
	}
	errs := []error{t.detach(ctx, r)}
	if r.Made {
		errs = append(errs, netns.Remove(r.Namespace))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := t.records.Delete(req.AllocID); err != nil {
		return err
	}
	return p.dropIdleBridge(&t)
}

// dropIdleBridge removes the bridge with its last allocation.
func (p *Provider) dropIdleBridge(t *tools) error {
	if !p.bridge.TryLock() {
		return nil // somebody is about to use it
	}
	defer p.bridge.Unlock()
	return netns.RemoveIdleBridge(t.Bridge.Name)
}
