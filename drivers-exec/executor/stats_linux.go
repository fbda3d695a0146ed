package executor

import (
	"os"
	"sync"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// Sample is what a task uses: memory now, and processor time since the sample
// before.
type Sample struct {
	At time.Time
	// CPU shares are fractions of one core: 1.5 is one and a half. They are 0
	// in the first sample.
	CPU, User, System float64
	Usage             cgroup.Usage
	// PIDs are the task's processes.
	PIDs []int
}

// meter remembers the sample before.
type meter struct {
	mu   sync.Mutex
	at   time.Time
	last cgroup.Usage
}

// Measure takes a sample. Memory is the cgroup's own account where there is
// one, and the sum of the processes' resident memory otherwise.
func (p *Process) Measure() Sample {
	s := Sample{At: time.Now(), Usage: p.state.Group.Usage(), PIDs: p.pids()}
	if !s.Usage.Memory.Known || !s.Usage.CPU.Known {
		p.sum(&s)
	}
	m := &p.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	if span := s.At.Sub(m.at); !m.at.IsZero() && span > 0 {
		share := func(now, before uint64) float64 {
			if now < before {
				return 0 // a process that left took its time with it
			}
			return float64(now-before) / float64(span)
		}
		s.CPU = share(s.Usage.CPU.Total, m.last.CPU.Total)
		s.User = share(s.Usage.CPU.User, m.last.CPU.User)
		s.System = share(s.Usage.CPU.System, m.last.CPU.System)
	}
	m.at, m.last = s.At, s.Usage
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
