package executor

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
)

// memoryEvents waits for news of many groups' memory in one goroutine, without a thread of its own: an epoll instance can
// be polled itself.
type memoryEvents struct {
	mu    sync.Mutex
	epoll *os.File
	tasks map[int32]*memoryWatch // by the file that is watched

	kills    string // the kernel's counters; empty is vmstat's
	counting bool   // count runs
}

const (
	// vmstat has the number of processes that the kernel killed for want of memory, whoever's.
	vmstat = "/proc/vmstat"
	// countAgain is how often it is read where the kernel tells a task's group only of the group's own limit. With
	// endFollows it stays below the second within which users learn of a kill.
	countAgain = 400 * time.Millisecond
)

// add begins to watch a group until stop is called; stop is nil if the group has no memory to watch.
func (m *memoryEvents) add(g cgroup.Group, w *memoryWatch) (stop func(), err error) {
	fd, events, err := g.OOMEvents()
	if err != nil || fd < 0 {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoll == nil {
		if err := m.open(); err != nil {
			unix.Close(fd)
			return nil, err
		}
	}
	m.tasks[int32(fd)] = w
	epoll := m.epoll
	if err := control(epoll, unix.EPOLL_CTL_ADD, fd, events); err != nil {
		delete(m.tasks, int32(fd))
		unix.Close(fd)
		return nil, fmt.Errorf("watch memory: %w", err)
	}
	if g.V1["memory"] != "" && !m.counting {
		m.counting = true
		go m.count(m.counted())
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.tasks, int32(fd))
		unix.Close(fd) // leaves the epoll instance by itself
	}, nil
}

func (m *memoryEvents) open() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return err
	}
	m.epoll, m.tasks = os.NewFile(uintptr(fd), "memory events"), map[int32]*memoryWatch{}
	go m.wait(m.epoll)
	return nil
}

// wait hands out events until the epoll instance is closed.
func (m *memoryEvents) wait(epoll *os.File) {
	raw, err := epoll.SyscallConn()
	if err != nil {
		return
	}
	var events [16]unix.EpollEvent
	for {
		n := 0
		if raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events[:], 0)
			return n > 0
		}) != nil {
			return
		}
		for _, e := range events[:n] {
			m.mu.Lock()
			if w := m.tasks[e.Fd]; w != nil {
				cgroup.ReadOOMEvent(int(e.Fd))
				w.changed()
			}
			m.mu.Unlock()
		}
	}
}

// counted reads how many processes were killed for want of memory on this machine.
func (m *memoryEvents) counted() uint64 {
	file := m.kills
	if file == "" {
		file = vmstat
	}
	return cgroup.OOMKillsIn(file)
}

// count looks at all tasks whenever the kernel has killed somebody, for as long as there are tasks. Version 1 tells a
// group nothing when the machine's memory, and not the group's, was used up.
func (m *memoryEvents) count(before uint64) {
	tick := time.NewTicker(countAgain)
	defer tick.Stop()
	for range tick.C {
		now := m.counted()
		m.mu.Lock()
		if len(m.tasks) == 0 {
			m.counting = false
			m.mu.Unlock()
			return
		}
		if now != before {
			for _, w := range m.tasks {
				w.changed()
			}
		}
		m.mu.Unlock()
		before = now
	}
}

// close ends wait; the files that are still watched close with their tasks' ends or with this process.
func (m *memoryEvents) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoll != nil {
		m.epoll.Close()
	}
}

func control(epoll *os.File, op, fd int, events uint32) error {
	raw, err := epoll.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(at uintptr) {
		failed = unix.EpollCtl(int(at), op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	})
	if err != nil {
		return err
	}
	return failed
}
