package driver

import (
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

// Proto returns the wire form. Plugins read resources, both kinds of them, without a check, so they are always there.
func (c *TaskConfig) Proto() *driverv1.TaskConfig {
	return &driverv1.TaskConfig{
		Id:                   c.ID,
		Name:                 c.Name,
		MsgpackDriverConfig:  c.DriverConfig,
		Env:                  validMap(c.Env),
		DeviceEnv:            validMap(c.DeviceEnv),
		Resources:            c.Resources.proto(),
		Mounts:               convert(c.Mounts, mountProto),
		Devices:              convert(c.Devices, deviceProto),
		User:                 c.User,
		AllocDir:             c.AllocDir,
		StdoutPath:           c.StdoutPath,
		StderrPath:           c.StderrPath,
		TaskGroupName:        c.TaskGroup,
		JobName:              c.JobName,
		AllocId:              c.AllocID,
		NetworkIsolationSpec: c.Network.Proto(),
		Dns:                  c.DNS.proto(),
		JobId:                c.JobID,
		Namespace:            c.Namespace,
		NodeName:             c.NodeName,
		NodeId:               c.NodeID,
		ParentJobId:          c.ParentJobID,
	}
}

// TaskConfigFromProto reads the wire form; p may be nil. Empty lists become nil: drivers tell "none asked for" by nil.
func TaskConfigFromProto(p *driverv1.TaskConfig) *TaskConfig {
	return &TaskConfig{
		ID:           p.GetId(),
		Name:         p.GetName(),
		DriverConfig: p.GetMsgpackDriverConfig(),
		Env:          p.GetEnv(),
		DeviceEnv:    p.GetDeviceEnv(),
		Resources:    resourcesFromProto(p.GetResources()),
		Mounts:       convert(p.GetMounts(), mountFromProto),
		Devices:      convert(p.GetDevices(), deviceFromProto),
		User:         p.GetUser(),
		AllocDir:     p.GetAllocDir(),
		StdoutPath:   p.GetStdoutPath(),
		StderrPath:   p.GetStderrPath(),
		TaskGroup:    p.GetTaskGroupName(),
		JobName:      p.GetJobName(),
		AllocID:      p.GetAllocId(),
		Network:      NetworkIsolationFromProto(p.GetNetworkIsolationSpec()),
		DNS:          dnsFromProto(p.GetDns()),
		JobID:        p.GetJobId(),
		Namespace:    p.GetNamespace(),
		NodeName:     p.GetNodeName(),
		NodeID:       p.GetNodeId(),
		ParentJobID:  p.GetParentJobId(),
	}
}

func (r *Resources) proto() *driverv1.Resources {
	return &driverv1.Resources{
		AllocatedResources: &driverv1.AllocatedTaskResources{
			Cpu:      &driverv1.AllocatedCpuResources{CpuShares: r.CPUShares},
			Memory:   &driverv1.AllocatedMemoryResources{MemoryMb: r.MemoryMB, MemoryMaxMb: r.MemoryMaxMB},
			Networks: convert(r.Networks, networkProto),
		},
		LinuxResources: &driverv1.LinuxResources{
			CpuPeriod:        r.Linux.CPUPeriod,
			CpuQuota:         r.Linux.CPUQuota,
			CpuShares:        r.Linux.CPUShares,
			MemoryLimitBytes: r.Linux.MemoryLimitBytes,
			OomScoreAdj:      r.Linux.OOMScoreAdj,
			CpusetCpus:       r.Linux.CpusetCpus,
			CpusetCgroup:     r.Linux.CpusetCgroup,
			PercentTicks:     r.Linux.PercentTicks,
		},
		Ports: convert(r.Ports, portProto),
	}
}

func resourcesFromProto(p *driverv1.Resources) Resources {
	allocated, linux := p.GetAllocatedResources(), p.GetLinuxResources()
	return Resources{
		CPUShares:   allocated.GetCpu().GetCpuShares(),
		MemoryMB:    allocated.GetMemory().GetMemoryMb(),
		MemoryMaxMB: allocated.GetMemory().GetMemoryMaxMb(),
		Ports:       convert(p.GetPorts(), portFromProto),
		Networks:    convert(allocated.GetNetworks(), networkFromProto),
		Linux: LinuxResources{
			CPUPeriod:        linux.GetCpuPeriod(),
			CPUQuota:         linux.GetCpuQuota(),
			CPUShares:        linux.GetCpuShares(),
			MemoryLimitBytes: linux.GetMemoryLimitBytes(),
			OOMScoreAdj:      linux.GetOomScoreAdj(),
			CpusetCpus:       linux.GetCpusetCpus(),
			CpusetCgroup:     linux.GetCpusetCgroup(),
			PercentTicks:     linux.GetPercentTicks(),
		},
	}
}

func portProto(p Port) *driverv1.PortMapping {
	return &driverv1.PortMapping{Label: p.Label, Value: int32(p.Value), To: int32(p.To), HostIp: p.HostIP}
}

func portFromProto(p *driverv1.PortMapping) Port {
	return Port{Label: p.GetLabel(), Value: int(p.GetValue()), To: int(p.GetTo()), HostIP: p.GetHostIp()}
}

func networkProto(n Network) *driverv1.NetworkResource {
	return &driverv1.NetworkResource{
		Device:        n.Device,
		Cidr:          n.CIDR,
		Ip:            n.IP,
		Mbits:         int32(n.MBits),
		ReservedPorts: convert(n.ReservedPorts, networkPortProto),
		DynamicPorts:  convert(n.DynamicPorts, networkPortProto),
	}
}

func networkFromProto(p *driverv1.NetworkResource) Network {
	return Network{
		Device:        p.GetDevice(),
		CIDR:          p.GetCidr(),
		IP:            p.GetIp(),
		MBits:         int(p.GetMbits()),
		ReservedPorts: convert(p.GetReservedPorts(), networkPortFromProto),
		DynamicPorts:  convert(p.GetDynamicPorts(), networkPortFromProto),
	}
}

func networkPortProto(p NetworkPort) *driverv1.NetworkPort {
	return &driverv1.NetworkPort{Label: p.Label, Value: int32(p.Value)}
}

func networkPortFromProto(p *driverv1.NetworkPort) NetworkPort {
	return NetworkPort{Label: p.GetLabel(), Value: int(p.GetValue())}
}

func mountProto(m Mount) *driverv1.Mount {
	return &driverv1.Mount{
		TaskPath:        m.TaskPath,
		HostPath:        m.HostPath,
		Readonly:        m.Readonly,
		PropagationMode: m.Propagation,
		SelinuxLabel:    m.SELinuxLabel,
		RequestName:     m.RequestName,
	}
}

func mountFromProto(p *driverv1.Mount) Mount {
	return Mount{
		TaskPath:     p.GetTaskPath(),
		HostPath:     p.GetHostPath(),
		Readonly:     p.GetReadonly(),
		Propagation:  p.GetPropagationMode(),
		SELinuxLabel: p.GetSelinuxLabel(),
		RequestName:  p.GetRequestName(),
	}
}

func deviceProto(d Device) *driverv1.Device {
	return &driverv1.Device{TaskPath: d.TaskPath, HostPath: d.HostPath, CgroupPermissions: d.Permissions}
}

func deviceFromProto(p *driverv1.Device) Device {
	return Device{TaskPath: p.GetTaskPath(), HostPath: p.GetHostPath(), Permissions: p.GetCgroupPermissions()}
}

func (d *DNS) proto() *driverv1.DNSConfig {
	if d == nil {
		return nil
	}
	return &driverv1.DNSConfig{Servers: d.Servers, Searches: d.Searches, Options: d.Options}
}

func dnsFromProto(p *driverv1.DNSConfig) *DNS {
	if p == nil {
		return nil
	}
	return &DNS{Servers: p.Servers, Searches: p.Searches, Options: p.Options}
}
