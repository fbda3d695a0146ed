package executor

import (
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// jobAccounting is JOBOBJECT_BASIC_ACCOUNTING_INFORMATION.
type jobAccounting struct {
	totalUserTime, totalKernelTime           int64 // 100 ns
	thisPeriodUserTime, thisPeriodKernelTime int64
	totalPageFaultCount, totalProcesses      uint32
	activeProcesses, totalTerminated         uint32
}

// Measure takes a sample of the task's job object.
func (p *Process) Measure() Sample {
	s := Sample{At: time.Now(), PIDs: []int{p.state.Proc.PID}}
	job, err := p.openJob()
	if err == nil {
		defer windows.CloseHandle(job)
		var a jobAccounting
		if err := windows.QueryInformationJobObject(job, windows.JobObjectBasicAccountingInformation, uintptr(unsafe.Pointer(&a)), uint32(unsafe.Sizeof(a)), nil); err == nil {
			cpu := &s.Usage.CPU
			cpu.Known = true
			cpu.User, cpu.System = uint64(a.totalUserTime)*100, uint64(a.totalKernelTime)*100
			cpu.Total = cpu.User + cpu.System
		}
		var l windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
		if err := windows.QueryInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&l)), uint32(unsafe.Sizeof(l)), nil); err == nil {
			s.Usage.Memory.Known = true
			s.Usage.Memory.Max = uint64(l.PeakJobMemoryUsed)
		}
	}
	p.meter.rate(&s)
	return s
}
