package driver

import "time"

// TaskStats is one sample of what a task uses. A driver fills Usage; the SDK fills in the rest.
type TaskStats struct {
	ID        string
	Timestamp time.Time
	Usage     ResourceUsage
	// ByPID is the same per process, keyed by pid; it may be empty.
	ByPID map[string]ResourceUsage
}

// ResourceUsage is processor and memory use together.
type ResourceUsage struct {
	CPU    CPUUsage
	Memory MemoryUsage
}

// CPUUsage is processor use since the previous sample. Measured lists the fields that carry a reading; a zero in any
// other means "not measured".
type CPUUsage struct {
	SystemMode       float64 // percent of one core
	UserMode         float64 // percent of one core
	TotalTicks       float64 // MHz
	Percent          float64 // percent of one core
	ThrottledPeriods uint64
	ThrottledTime    uint64 // ns
	Measured         []CPUField
}

// CPUField names a field of CPUUsage. The numbers are the wire's.
type CPUField int32

// The fields of CPUUsage.
const (
	CPUSystemMode       CPUField = 0
	CPUUserMode         CPUField = 1
	CPUTotalTicks       CPUField = 2
	CPUThrottledPeriods CPUField = 3
	CPUThrottledTime    CPUField = 4
	CPUPercent          CPUField = 5
)

// String returns the name the API shows: "System Mode", "Percent" ...
func (f CPUField) String() string {
	return nameOf(int(f), "System Mode", "User Mode", "Total Ticks", "Throttled Periods", "Throttled Time", "Percent")
}

// MemoryUsage is memory use in bytes. Measured lists the fields that carry a reading.
type MemoryUsage struct {
	RSS            uint64
	Cache          uint64
	Swap           uint64
	Usage          uint64
	MaxUsage       uint64
	KernelUsage    uint64
	KernelMaxUsage uint64
	Measured       []MemoryField
}

// MemoryField names a field of MemoryUsage. The numbers are the wire's.
type MemoryField int32

// The fields of MemoryUsage.
const (
	MemoryRSS            MemoryField = 0
	MemoryCache          MemoryField = 1
	MemoryMaxUsage       MemoryField = 2
	MemoryKernelUsage    MemoryField = 3
	MemoryKernelMaxUsage MemoryField = 4
	MemoryUsageField     MemoryField = 5
	MemorySwap           MemoryField = 6
)

// String returns the name the API shows: "RSS", "Max Usage" ...
func (f MemoryField) String() string {
	return nameOf(int(f), "RSS", "Cache", "Max Usage", "Kernel Usage", "Kernel Max Usage", "Usage", "Swap")
}
