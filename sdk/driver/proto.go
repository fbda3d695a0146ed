package driver

import (
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/droverhq/drover/sdk/attribute"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

// Proto returns the wire form.
func (c *Capabilities) Proto() *driverv1.DriverCapabilities {
	p := &driverv1.DriverCapabilities{
		SendSignals:          c.SendSignals,
		Exec:                 c.Exec,
		FsIsolation:          driverv1.DriverCapabilities_FSIsolation(c.FSIsolation),
		MustCreateNetwork:    c.MustCreateNetwork,
		DisableLogCollection: c.DisableLogCollection,
		DynamicWorkloadUsers: c.DynamicUsers,
	}
	for _, m := range c.NetworkModes {
		p.NetworkIsolationModes = append(p.NetworkIsolationModes, driverv1.NetworkIsolationSpec_NetworkIsolationMode(m))
	}
	if c.NoMounts {
		p.MountConfigs = driverv1.DriverCapabilities_NO_MOUNTS
	}
	return p
}

// CapabilitiesFromProto reads the wire form; p may be nil.
func CapabilitiesFromProto(p *driverv1.DriverCapabilities) Capabilities {
	c := Capabilities{
		SendSignals:          p.GetSendSignals(),
		Exec:                 p.GetExec(),
		FSIsolation:          FSIsolation(p.GetFsIsolation()),
		MustCreateNetwork:    p.GetMustCreateNetwork(),
		NoMounts:             p.GetMountConfigs() == driverv1.DriverCapabilities_NO_MOUNTS,
		DisableLogCollection: p.GetDisableLogCollection(),
		DynamicUsers:         p.GetDynamicWorkloadUsers(),
	}
	for _, m := range p.GetNetworkIsolationModes() {
		c.NetworkModes = append(c.NetworkModes, NetworkMode(m))
	}
	return c
}

// Proto returns the wire form.
func (f *Fingerprint) Proto() *driverv1.FingerprintResponse {
	return &driverv1.FingerprintResponse{
		Attributes:        attribute.MapProto(f.Attributes),
		Health:            driverv1.FingerprintResponse_HealthState(f.Health),
		HealthDescription: valid(f.Description),
		Err:               valid(f.Err),
	}
}

// FingerprintFromProto reads the wire form; p may be nil.
func FingerprintFromProto(p *driverv1.FingerprintResponse) Fingerprint {
	return Fingerprint{
		Health:      Health(p.GetHealth()),
		Description: p.GetHealthDescription(),
		Attributes:  attribute.MapFromProto(p.GetAttributes()),
		Err:         p.GetErr(),
	}
}

// Proto returns the wire form.
func (h *TaskHandle) Proto() *driverv1.TaskHandle {
	return &driverv1.TaskHandle{
		Version:     int32(h.Version),
		Config:      h.Config.Proto(),
		State:       driverv1.TaskState(h.State),
		DriverState: h.DriverState,
	}
}

// TaskHandleFromProto reads the wire form; p may be nil.
func TaskHandleFromProto(p *driverv1.TaskHandle) *TaskHandle {
	return &TaskHandle{
		Version:     int(p.GetVersion()),
		Config:      *TaskConfigFromProto(p.GetConfig()),
		State:       TaskState(p.GetState()),
		DriverState: p.GetDriverState(),
	}
}

// Proto returns the wire form. Err has no field there: it travels beside the result.
func (r *ExitResult) Proto() *driverv1.ExitResult {
	if r == nil {
		return &driverv1.ExitResult{}
	}
	return &driverv1.ExitResult{ExitCode: int32(r.ExitCode), Signal: int32(r.Signal), OomKilled: r.OOMKilled}
}

// ExitResultFromProto reads the wire form; p may be nil.
func ExitResultFromProto(p *driverv1.ExitResult) *ExitResult {
	return &ExitResult{ExitCode: int(p.GetExitCode()), Signal: int(p.GetSignal()), OOMKilled: p.GetOomKilled()}
}

// Proto returns the wire form. Times and result are always there: hosts refuse a status without.
func (s *TaskStatus) Proto() *driverv1.InspectTaskResponse {
	return &driverv1.InspectTaskResponse{
		Task: &driverv1.TaskStatus{
			Id:          s.ID,
			Name:        s.Name,
			State:       driverv1.TaskState(s.State),
			StartedAt:   timestamppb.New(s.StartedAt),
			CompletedAt: timestamppb.New(s.CompletedAt),
			Result:      s.Exit.Proto(),
		},
		Driver:          &driverv1.TaskDriverStatus{Attributes: validMap(s.Attributes)},
		NetworkOverride: s.Network.Proto(),
	}
}

// TaskStatusFromProto reads the wire form; p may be nil and lack every part.
func TaskStatusFromProto(p *driverv1.InspectTaskResponse) *TaskStatus {
	t := p.GetTask()
	s := &TaskStatus{
		ID:          t.GetId(),
		Name:        t.GetName(),
		State:       TaskState(t.GetState()),
		StartedAt:   timeOf(t.GetStartedAt()),
		CompletedAt: timeOf(t.GetCompletedAt()),
		Attributes:  p.GetDriver().GetAttributes(),
		Network:     NetworkOverrideFromProto(p.GetNetworkOverride()),
	}
	if t.GetResult() != nil && (s.State == TaskExited || !s.CompletedAt.IsZero()) {
		s.Exit = ExitResultFromProto(t.GetResult())
	}
	return s
}

// Proto returns the wire form; n may be nil.
func (n *NetworkOverride) Proto() *driverv1.NetworkOverride {
	if n == nil {
		return nil
	}
	p := &driverv1.NetworkOverride{Addr: n.Addr, AutoAdvertise: n.AutoAdvertise}
	for label, port := range n.PortMap {
		if p.PortMap == nil {
			p.PortMap = make(map[string]int32, len(n.PortMap))
		}
		p.PortMap[label] = int32(port)
	}
	return p
}

// NetworkOverrideFromProto reads the wire form; nil stays nil.
func NetworkOverrideFromProto(p *driverv1.NetworkOverride) *NetworkOverride {
	if p == nil {
		return nil
	}
	n := &NetworkOverride{Addr: p.Addr, AutoAdvertise: p.AutoAdvertise}
	for label, port := range p.PortMap {
		if n.PortMap == nil {
			n.PortMap = make(map[string]int, len(p.PortMap))
		}
		n.PortMap[label] = int(port)
	}
	return n
}

// Proto returns the wire form; n may be nil.
func (n *NetworkIsolation) Proto() *driverv1.NetworkIsolationSpec {
	if n == nil {
		return nil
	}
	p := &driverv1.NetworkIsolationSpec{
		Mode:   driverv1.NetworkIsolationSpec_NetworkIsolationMode(n.Mode),
		Path:   n.Path,
		Labels: n.Labels,
	}
	if n.Hosts != nil {
		p.HostsConfig = &driverv1.HostsConfig{Hostname: n.Hosts.Hostname, Address: n.Hosts.Address}
	}
	return p
}

// NetworkIsolationFromProto reads the wire form; nil stays nil.
func NetworkIsolationFromProto(p *driverv1.NetworkIsolationSpec) *NetworkIsolation {
	if p == nil {
		return nil
	}
	n := &NetworkIsolation{Mode: NetworkMode(p.Mode), Path: p.Path, Labels: p.Labels}
	if h := p.HostsConfig; h != nil {
		n.Hosts = &HostsConfig{Hostname: h.Hostname, Address: h.Address}
	}
	return n
}

// Proto returns the wire form.
func (e *TaskEvent) Proto() *driverv1.DriverTaskEvent {
	return &driverv1.DriverTaskEvent{
		TaskId:      e.TaskID,
		AllocId:     e.AllocID,
		TaskName:    e.TaskName,
		Timestamp:   timestamppb.New(e.Timestamp),
		Message:     valid(e.Message),
		Annotations: validMap(e.Annotations),
	}
}

// TaskEventFromProto reads the wire form; p may be nil. An event without a time happened at now.
func TaskEventFromProto(p *driverv1.DriverTaskEvent, now time.Time) TaskEvent {
	e := TaskEvent{
		TaskID:      p.GetTaskId(),
		AllocID:     p.GetAllocId(),
		TaskName:    p.GetTaskName(),
		Timestamp:   timeOf(p.GetTimestamp()),
		Message:     p.GetMessage(),
		Annotations: p.GetAnnotations(),
	}
	if e.Timestamp.IsZero() {
		e.Timestamp = now
	}
	return e
}

// Proto returns the wire form. Time and total are always there: hosts read them without a check.
func (s *TaskStats) Proto() *driverv1.TaskStats {
	p := &driverv1.TaskStats{
		Id:               s.ID,
		Timestamp:        timestamppb.New(s.Timestamp),
		AggResourceUsage: s.Usage.proto(),
	}
	for pid, usage := range s.ByPID {
		if p.ResourceUsageByPid == nil {
			p.ResourceUsageByPid = make(map[string]*driverv1.TaskResourceUsage, len(s.ByPID))
		}
		p.ResourceUsageByPid[pid] = usage.proto()
	}
	return p
}

// TaskStatsFromProto reads the wire form; p may be nil and lack every part. NaN and infinity become 0, a missing time
// becomes now.
func TaskStatsFromProto(p *driverv1.TaskStats, now time.Time) TaskStats {
	s := TaskStats{
		ID:        p.GetId(),
		Timestamp: timeOf(p.GetTimestamp()),
		Usage:     usageFromProto(p.GetAggResourceUsage()),
	}
	if s.Timestamp.IsZero() {
		s.Timestamp = now
	}
	for pid, usage := range p.GetResourceUsageByPid() {
		if s.ByPID == nil {
			s.ByPID = make(map[string]ResourceUsage, len(p.ResourceUsageByPid))
		}
		s.ByPID[pid] = usageFromProto(usage)
	}
	return s
}

func (u *ResourceUsage) proto() *driverv1.TaskResourceUsage {
	return &driverv1.TaskResourceUsage{
		Cpu: &driverv1.CPUUsage{
			SystemMode:       u.CPU.SystemMode,
			UserMode:         u.CPU.UserMode,
			TotalTicks:       u.CPU.TotalTicks,
			Percent:          u.CPU.Percent,
			ThrottledPeriods: u.CPU.ThrottledPeriods,
			ThrottledTime:    u.CPU.ThrottledTime,
			MeasuredFields:   convert(u.CPU.Measured, func(f CPUField) driverv1.CPUUsage_Fields { return driverv1.CPUUsage_Fields(f) }),
		},
		Memory: &driverv1.MemoryUsage{
			Rss:            u.Memory.RSS,
			Cache:          u.Memory.Cache,
			Swap:           u.Memory.Swap,
			Usage:          u.Memory.Usage,
			MaxUsage:       u.Memory.MaxUsage,
			KernelUsage:    u.Memory.KernelUsage,
			KernelMaxUsage: u.Memory.KernelMaxUsage,
			MeasuredFields: convert(u.Memory.Measured, func(f MemoryField) driverv1.MemoryUsage_Fields { return driverv1.MemoryUsage_Fields(f) }),
		},
	}
}

func usageFromProto(p *driverv1.TaskResourceUsage) ResourceUsage {
	cpu, memory := p.GetCpu(), p.GetMemory()
	return ResourceUsage{
		CPU: CPUUsage{
			SystemMode:       finite(cpu.GetSystemMode()),
			UserMode:         finite(cpu.GetUserMode()),
			TotalTicks:       finite(cpu.GetTotalTicks()),
			Percent:          finite(cpu.GetPercent()),
			ThrottledPeriods: cpu.GetThrottledPeriods(),
			ThrottledTime:    cpu.GetThrottledTime(),
			Measured:         convert(cpu.GetMeasuredFields(), func(f driverv1.CPUUsage_Fields) CPUField { return CPUField(f) }),
		},
		Memory: MemoryUsage{
			RSS:            memory.GetRss(),
			Cache:          memory.GetCache(),
			Swap:           memory.GetSwap(),
			Usage:          memory.GetUsage(),
			MaxUsage:       memory.GetMaxUsage(),
			KernelUsage:    memory.GetKernelUsage(),
			KernelMaxUsage: memory.GetKernelMaxUsage(),
			Measured:       convert(memory.GetMeasuredFields(), func(f driverv1.MemoryUsage_Fields) MemoryField { return MemoryField(f) }),
		},
	}
}

// convert maps a list; an empty one becomes nil.
func convert[A, B any](list []A, f func(A) B) []B {
	if len(list) == 0 {
		return nil
	}
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = f(a)
	}
	return out
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if !t.IsValid() {
		return time.Time{}
	}
	return t.AsTime()
}

func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// valid mends text that the wire would refuse: proto3 strings are UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func validMap(m map[string]string) map[string]string {
	mended := false
	for k, v := range m {
		if valid(k) != k || valid(v) != v {
			mended = true
		}
	}
	if !mended {
		return m
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[valid(k)] = valid(v)
	}
	return out
}
