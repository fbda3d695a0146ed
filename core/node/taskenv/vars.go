package taskenv

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// own sets the variables about allocation, task, job and resources.
func own(vars map[string]string, in *Input) {
	a, j, t := in.Alloc, in.Job, in.Task
	set := func(name, value string) {
		if value != "" {
			vars[prefix+name] = value
		}
	}
	set("ALLOC_DIR", in.Dirs.Alloc)
	set("TASK_DIR", in.Dirs.Task)
	set("SECRETS_DIR", in.Dirs.Secrets)
	set("ALLOC_ID", a.ID)
	set("SHORT_ALLOC_ID", a.ID[:min(8, len(a.ID))])
	set("ALLOC_NAME", a.Name)
	set("ALLOC_INDEX", index(a.Name))
	set("TASK_NAME", t.Name)
	set("GROUP_NAME", a.TaskGroup)
	set("JOB_ID", j.ID)
	set("JOB_NAME", j.Name)
	set("JOB_PARENT_ID", j.ParentID)
	set("DC", in.Node.Datacenter)
	set("REGION", in.Region)
	set("NAMESPACE", a.Namespace)
	set("PARENT_CGROUP", in.CgroupParent)

	res := taskResources(a, t.Name)
	if res == nil {
		return
	}
	if res.Memory.MemoryMB > 0 {
		set("MEMORY_LIMIT", strconv.FormatInt(res.Memory.MemoryMB, 10))
	}
	if res.Memory.MemoryMaxMB > 0 {
		set("MEMORY_MAX_LIMIT", strconv.FormatInt(res.Memory.MemoryMaxMB, 10))
	}
	if res.Cpu.CpuShares > 0 {
		set("CPU_LIMIT", strconv.FormatInt(res.Cpu.CpuShares, 10))
	}
	set("CPU_CORES", Ranges(res.Cpu.ReservedCores))
}

func taskResources(a *model.Allocation, task string) *model.AllocatedTaskResources {
	if a.AllocatedResources == nil {
		return nil
	}
	return a.AllocatedResources.Tasks[task]
}

// index is what stands between the last brackets of an allocation's name.
func index(name string) string {
	open := strings.LastIndexByte(name, '[')
	if open < 0 || !strings.HasSuffix(name, "]") {
		return ""
	}
	return name[open+1 : len(name)-1]
}

// Ranges writes core ids as "0-3,8".
func Ranges(cores []uint16) string {
	ids := slices.Clone(cores)
	slices.Sort(ids)
	var parts []string
	for i := 0; i < len(ids); {
		j := i
		for j+1 < len(ids) && ids[j+1] == ids[j]+1 {
			j++
		}
		part := strconv.Itoa(int(ids[i]))
		if j > i {
			part += "-" + strconv.Itoa(int(ids[j]))
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// meta sets job, group and task meta under the key as written and in upper case; what a dispatch may leave out is "".
func meta(vars map[string]string, j *model.Job, group, task string) {
	if p := j.ParameterizedJob; p != nil {
		for _, k := range p.MetaOptional {
			setMeta(vars, k, "")
		}
	}
	for k, v := range j.CombinedMeta(group, task) {
		setMeta(vars, k, v)
	}
}

func setMeta(vars map[string]string, key, value string) {
	vars[prefix+"META_"+key] = value
	vars[prefix+"META_"+strings.ToUpper(key)] = value
}

// ports sets the variables of group ports and of legacy task networks.
func ports(vars map[string]string, in *Input) {
	if in.Alloc.AllocatedResources == nil {
		return
	}
	for _, p := range in.Alloc.AllocatedResources.Shared.Ports {
		groupPort(vars, p, in.Network.OfPort(in.Job.Group(in.Alloc.TaskGroup), p.Label))
	}
	for name, res := range in.Alloc.AllocatedResources.Tasks {
		for _, n := range res.Networks {
			taskNetwork(vars, n, name, name == in.Task.Name)
		}
	}
}

func groupPort(vars map[string]string, p model.AllocatedPort, inner model.AllocInterface) {
	set := func(name, value string) { vars[prefix+name+"_"+safe(p.Label)] = value }
	host := strconv.Itoa(p.Value)
	inside := host
	if p.To > 0 {
		inside = strconv.Itoa(p.To)
	}
	addr := net.JoinHostPort(p.HostIP, host)
	set("IP", p.HostIP)
	set("HOST_IP", p.HostIP)
	set("ADDR", addr)
	set("HOST_ADDR", addr)
	set("HOST_PORT", host)
	set("PORT", inside)
	set("ALLOC_PORT", inside)
	if inner.Address != "" {
		set("ALLOC_INTERFACE", inner.Name)
		set("ALLOC_IP", inner.Address)
		set("ALLOC_ADDR", net.JoinHostPort(inner.Address, inside))
	}
}

func taskNetwork(vars map[string]string, n *model.Network, task string, own bool) {
	for _, p := range slices.Concat(n.ReservedPorts, n.DynamicPorts) {
		port := strconv.Itoa(p.Value)
		addr := net.JoinHostPort(n.IP, port)
		if !own {
			suffix := "_" + task + "_" + p.Label
			vars[prefix+"IP"+suffix], vars[prefix+"PORT"+suffix], vars[prefix+"ADDR"+suffix] = n.IP, port, addr
			continue
		}
		ip := "IPv4_"
		if strings.Contains(n.IP, ":") {
			ip = "IPv6_"
		}
		vars[prefix+"IP_"+p.Label], vars[prefix+ip+p.Label] = n.IP, n.IP
		vars[prefix+"ADDR_"+p.Label], vars[prefix+"HOST_PORT_"+p.Label] = addr, port
		if p.To > 0 {
			port = strconv.Itoa(p.To)
		}
		vars[prefix+"PORT_"+p.Label] = port
	}
}
