package executor

import (
	"os"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// Measure takes a sample. Memory is the cgroup's own account where there is
// one, and the sum of the processes' resident memory otherwise.
func (p *Process) Measure() Sample {
	s := Sample{At: time.Now(), Usage: p.state.Group.Usage(), PIDs: p.pids()}
	if !s.Usage.Memory.Known || !s.Usage.CPU.Known {
		p.sum(&s)
	}
	p.meter.rate(&s)
	return s
}

// pids lists the task's processes.
func (p *Process) pids() []int {
	if g := p.state.Group; g.Tree != "" && !g.Shared {
		pids, _ := g.PIDs()
		return pids
	}
	pids := []int{p.state.Proc.PID}
	for _, id := range p.family() {
		pids = append(pids, id.PID)
	}
	return pids
}

// sum adds up the processes, for what no cgroup knows.
func (p *Process) sum(s *Sample) {
	const tick = uint64(10 * time.Millisecond)
	page := uint64(os.Getpagesize())
	cpu, mem := &s.Usage.CPU, &s.Usage.Memory
	sumCPU, sumMem := !cpu.Known, !mem.Known
	for _, pid := range s.PIDs {
		st, err := proc.ReadStat(pid)
		if err != nil {
			continue
		}
		if sumCPU {
			cpu.Known = true
			cpu.User += st.UserTicks * tick
			cpu.System += st.SystemTicks * tick
			cpu.Total += (st.UserTicks + st.SystemTicks) * tick
		}
		if sumMem {
			mem.Known = true
			mem.RSS += st.RSS * page
			mem.Usage += st.RSS * page
		}
	}
}
