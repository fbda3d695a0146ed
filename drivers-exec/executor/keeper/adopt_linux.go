package keeper

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// adopt takes in a task that an earlier keeper started. A pidfd that the
// client kept is better than ours, because it may know an exit that /proc has
// forgotten.
func (s *server) adopt(t Task, files []int, answer *message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.tasks[t.ID]; old != nil && (old.Exit == nil || !old.Exit.Unknown || len(files) == 0) {
		closeAll(files)
		copied := old.Task
		answer.Task = &copied
		return nil
	}
	pidfd := -1
	if len(files) > 0 {
		pidfd = files[0]
		closeAll(files[1:])
	}
	h := s.adoptLocked(t, pidfd)
	copied := h.Task
	answer.Task = &copied
	return nil
}

// adoptLocked enters a task that is no child of ours. The caller holds mu.
func (s *server) adoptLocked(t Task, pidfd int) *held {
	h := &held{Task: t, pidfd: pidfd, running: true}
	h.Adopted = true
	s.tasks[t.ID] = h
	defer s.touch()
	if t.Exit != nil {
		return h
	}
	var err error
	if h.pidfd < 0 {
		h.pidfd, err = t.Proc.Open()
	}
	if err != nil {
		reason := "the process ended while no keeper ran: " + err.Error()
		if !errors.Is(err, proc.ErrGone) {
			reason = "the process cannot be adopted: " + err.Error()
		}
		s.ended(h, proc.Exit{Code: -1, At: time.Now(), Unknown: true, Reason: reason})
		return h
	}
	if e, over := proc.ExitOf(h.pidfd, t.Proc.PID); over {
		s.ended(h, e)
		return h
	}
	if err := s.records.put(h.Task); err != nil {
		fmt.Fprintln(os.Stderr, "keeper:", err)
	}
	if err := s.watch.add(h.pidfd, t.ID); err != nil {
		fmt.Fprintln(os.Stderr, "keeper: watch task "+t.ID+":", err)
	}
	return h
}

// adoptRecords takes in what the keeper before us left.
func (s *server) adoptRecords() {
	tasks, err := s.records.all()
	if err != nil {
		fmt.Fprintln(os.Stderr, "keeper:", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tasks {
		if s.tasks[t.ID] == nil {
			s.adoptLocked(t, -1)
		}
	}
}

// adoptedEnded is called by the watcher when an adopted process ended.
func (s *server) adoptedEnded(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[id]
	if t == nil || t.Exit != nil || !t.Adopted {
		return
	}
	e, over := proc.ExitOf(t.pidfd, t.Proc.PID)
	if !over {
		return
	}
	if e.Unknown && t.asked < askTimes {
		// It is a zombie whose status we may not read. The kernel tells it by
		// the pidfd when whoever inherited the process has taken it in.
		t.asked++
		time.AfterFunc(askAgain, func() { s.adoptedEnded(id) })
		return
	}
	s.ended(t, e)
	s.touch()
}

// How often and how soon the exit of an adopted process is asked for.
const (
	askTimes = 20
	askAgain = 25 * time.Millisecond
)

// watcher waits for the end of processes that are not our children, all of
// them in one thread.
type watcher struct {
	epoll int
	ended func(id string)

	mu  sync.Mutex
	ids map[int32]string // by pidfd
}

func newWatcher(ended func(string)) (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make epoll: %w", err)
	}
	return &watcher{epoll: fd, ended: ended, ids: map[int32]string{}}, nil
}

// add begins to watch; the first call starts the thread.
func (w *watcher) add(pidfd int, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := len(w.ids) == 0
	w.ids[int32(pidfd)] = id
	err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, pidfd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(pidfd)})
	if err == nil && first {
		go w.loop()
	}
	return err
}

// loop runs while anything is watched.
func (w *watcher) loop() {
	events := make([]unix.EpollEvent, 32)
	for {
		n, err := unix.EpollWait(w.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			fmt.Fprintln(os.Stderr, "keeper: wait for adopted tasks:", err)
			return
		}
		for _, e := range events[:max(n, 0)] {
			w.mu.Lock()
			id := w.ids[e.Fd]
			delete(w.ids, e.Fd)
			empty := len(w.ids) == 0
			w.mu.Unlock()
			w.ended(id)
			if empty && w.idle() {
				return
			}
		}
	}
}

// idle reports whether nothing is watched, so that the thread may end.
func (w *watcher) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ids) == 0
}
