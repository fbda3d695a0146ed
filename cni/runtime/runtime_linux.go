// Package runtime attaches namespaces to CNI networks and detaches them.
package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/droverhq/drover/cni/child"
	"github.com/droverhq/drover/cni/record"
	"github.com/droverhq/drover/sdk/network"
)

// Runtime calls CNI plugins. Of one network a few namespaces at a time are worked on: plugins wait for locks of their own
// and of the packet filter, and a hundred at once would wait longer than a plugin may take.
type Runtime struct {
	cni  *libcni.CNIConfig
	turn *turns
}

// New returns a runtime that finds plugins in path, runs them as the family's, and keeps libcni's cache in cacheDir.
func New(path []string, cacheDir string, family child.Family, timeout time.Duration) *Runtime {
	return &Runtime{turn: newTurns(), cni: libcni.NewCNIConfigWithCacheDir(path, cacheDir, &binaries{family: family, timeout: timeout})}
}

// Attach makes one attachment of a record and notes in it what came out.
func (r *Runtime) Attach(ctx context.Context, rec *record.Record, n *record.Network) error {
	list, rt, err := prepare(rec, n)
	if err != nil {
		return err
	}
	done, err := r.turn.take(ctx, n.Mode)
	if err != nil {
		return err
	}
	defer done()
	result, err := r.cni.AddNetworkList(ctx, list, rt)
	if err != nil {
		return fmt.Errorf("network %s: %w", n.Mode, err)
	}
	return note(n, result)
}

// Check asks the plugins whether the attachment is in order. Networks of CNI versions before 0.4.0 cannot be asked.
func (r *Runtime) Check(ctx context.Context, rec *record.Record, n *record.Network) error {
	list, rt, err := prepare(rec, n)
	if err != nil {
		return err
	}
	if slices.Contains([]string{"", "0.1.0", "0.2.0", "0.3.0", "0.3.1"}, list.CNIVersion) || list.DisableCheck {
		return nil
	}
	done, err := r.turn.take(ctx, n.Mode)
	if err != nil {
		return err
	}
	defer done()
	return r.cni.CheckNetworkList(ctx, list, rt)
}

// Detach undoes an attachment, also one that was made in part or not at all.
func (r *Runtime) Detach(ctx context.Context, rec *record.Record, n *record.Network) error {
	list, rt, err := prepare(rec, n)
	if err != nil {
		return err
	}
	done, err := r.turn.take(ctx, n.Mode)
	if err != nil {
		return err
	}
	defer done()
	if err := r.cni.DelNetworkList(ctx, list, rt); err != nil {
		return fmt.Errorf("network %s: %w", n.Mode, err)
	}
	return nil
}

// prepare says what the plugins are told.
func prepare(rec *record.Record, n *record.Network) (*libcni.NetworkConfigList, *libcni.RuntimeConf, error) {
	list, err := libcni.NetworkConfFromBytes(n.Conf)
	if err != nil {
		return nil, nil, fmt.Errorf("network %s: %w", n.Mode, err)
	}
	rt := &libcni.RuntimeConf{
		ContainerID: rec.ContainerID, NetNS: rec.Namespace, IfName: n.Interface,
		Args:           [][2]string{{"IgnoreUnknown", "true"}},
		CapabilityArgs: map[string]any{},
	}
	for _, want := range rec.Alloc.Networks {
		if want.Mode != n.Mode {
			continue
		}
		for _, key := range sorted(want.Args) {
			rt.Args = append(rt.Args, [2]string{key, want.Args[key]})
		}
		addresses := want.Addresses
		if len(addresses) == 0 { // made anew after something was lost: the address stays
			addresses = bare(n.Status.Addresses)
			if err := takeAddresses(list); err != nil {
				return nil, nil, fmt.Errorf("network %s: %w", n.Mode, err)
			}
		}
		if len(addresses) > 0 {
			rt.CapabilityArgs["ips"] = addresses
		}
	}
	if ports := mappings(rec.Alloc.Ports, n.Mode); len(ports) > 0 {
		rt.CapabilityArgs["portMappings"] = ports
	}
	return list, rt, nil
}

// takeAddresses has host-local hear of the addresses even where the list does not pass them on.
func takeAddresses(list *libcni.NetworkConfigList) error {
	for i, p := range list.Plugins {
		if p.Network.IPAM.Type != "host-local" {
			continue
		}
		can := map[string]bool{"ips": true}
		for name, supported := range p.Network.Capabilities {
			can[name] = can[name] || supported
		}
		var err error
		if list.Plugins[i], err = libcni.InjectConf(p, map[string]any{"capabilities": can}); err != nil {
			return err
		}
	}
	return nil
}

// mapping is an entry of the portMappings capability.
type mapping struct {
	HostPort      int    `json:"hostPort"`
	ContainerPort int    `json:"containerPort"`
	Protocol      string `json:"protocol"`
	HostIP        string `json:"hostIP,omitempty"`
}

func mappings(ports []network.Port, mode string) []mapping {
	var list []mapping
	for _, p := range ports {
		if p.Mode != "" && p.Mode != mode {
			continue
		}
		for _, protocol := range []string{"tcp", "udp"} {
			list = append(list, mapping{p.HostPort, p.Port, protocol, p.HostIP})
		}
	}
	return list
}

// bare drops the length of the prefix.
func bare(addresses []string) []string {
	var list []string
	for _, text := range addresses {
		if p, err := netip.ParsePrefix(text); err == nil {
			list = append(list, p.Addr().String())
		}
	}
	return list
}

// note reads a result of whatever version.
func note(n *record.Network, result types.Result) error {
	r, err := types100.NewResultFromResult(result)
	if err != nil {
		return fmt.Errorf("network %s: its plugins' answer: %w", n.Mode, err)
	}
	if n.Result, err = json.Marshal(r); err != nil {
		return err
	}
	n.Status = network.Interface{Name: n.Interface, Mode: n.Mode}
	inside := -1
	for i, link := range r.Interfaces {
		if link.Sandbox != "" && link.Name == n.Interface {
			inside, n.Status.MAC = i, link.Mac
		}
	}
	for _, ip := range r.IPs {
		if ip.Interface != nil && inside >= 0 && *ip.Interface != inside {
			continue
		}
		n.Status.Addresses = append(n.Status.Addresses, ip.Address.String())
		if ip.Gateway != nil {
			n.Status.Gateways = append(n.Status.Gateways, ip.Gateway.String())
		}
	}
	n.DNS = network.DNS{Servers: r.DNS.Nameservers, Searches: r.DNS.Search, Options: r.DNS.Options}
	return nil
}

func sorted(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
