package executor

import (
	"sync"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
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

// rate works out processor use since the sample before.
func (m *meter) rate(s *Sample) {
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
}
