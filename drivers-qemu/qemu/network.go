package qemu

import (
	"fmt"
	"sort"
	"strings"

	"github.com/droverhq/drover/sdk/driver"
)

// network makes the options of user-mode networking: the host's ports that
// lead into the guest, and the resolver it is told of. Without anything to
// configure QEMU's own network device is left as it is.
func network(task *driver.TaskConfig, portMap map[string]int) ([]string, error) {
	options := []string{"user", "id=user.0"}
	labels := make([]string, 0, len(portMap))
	for label := range portMap {
		labels = append(labels, label)
	}
	sort.Strings(labels)
	for _, label := range labels {
		host, err := hostPort(task, label)
		if err != nil {
			return nil, err
		}
		for _, protocol := range []string{"tcp", "udp"} {
			options = append(options, fmt.Sprintf("hostfwd=%s:%s-:%d", protocol, host, portMap[label]))
		}
	}
	if d := task.DNS; d != nil {
		if len(d.Servers) > 0 {
			options = append(options, "dns="+escape(d.Servers[0]))
		}
		for _, domain := range d.Searches {
			options = append(options, "dnssearch="+escape(domain))
		}
	}
	if len(options) == 2 {
		return nil, nil
	}
	return []string{"-netdev", strings.Join(options, ","), "-device", "virtio-net,netdev=user.0"}, nil
}

// hostPort finds the address and port on the host that a label stands for:
// of the task's own network, or of the group's.
func hostPort(task *driver.TaskConfig, label string) (string, error) {
	var known []string
	for _, n := range task.Resources.Networks {
		for _, ports := range [][]driver.NetworkPort{n.ReservedPorts, n.DynamicPorts} {
			for _, p := range ports {
				if p.Label == label {
					return fmt.Sprintf(":%d", p.Value), nil
				}
				known = append(known, p.Label)
			}
		}
	}
	for _, p := range task.Resources.Ports {
		if p.Label != label {
			known = append(known, p.Label)
			continue
		}
		if n := task.Network; n != nil && n.Path != "" {
			// In a namespace of the group's own, what arrives at the node's
			// port comes out at To.
			if p.To > 0 {
				return fmt.Sprintf(":%d", p.To), nil
			}
			return fmt.Sprintf(":%d", p.Value), nil
		}
		if strings.Contains(p.HostIP, ":") {
			return fmt.Sprintf(":%d", p.Value), nil // user-mode networking listens by IPv4 only
		}
		return fmt.Sprintf("%s:%d", p.HostIP, p.Value), nil
	}
	return "", fmt.Errorf("port_map: the group and the task have no port with the label %q; theirs are %q", label, known)
}

// override tells the host where the guest listens, if that is one place.
func override(portMap map[string]int) *driver.NetworkOverride {
	if len(portMap) != 1 {
		return nil
	}
	return &driver.NetworkOverride{PortMap: portMap}
}
