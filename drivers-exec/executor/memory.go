package executor

import (
	"sync"
	"time"
)

// memoryWatch notices that the kernel killed a process of a task because its memory was used up, while the task's first
// process lives on: then no exit tells of it.
type memoryWatch struct {
	process *Process
	tell    func(killed int, limit bool)

	mu    sync.Mutex
	known int  // kills that were told, or were there at the beginning
	busy  bool // look runs
}

// How long a kill may follow its announcement, how long the end of the first process is waited for, which says it all, and
// how long nothing more is told. The first two together stay below the second within which users learn of it.
const (
	killFollows = 400 * time.Millisecond
	endFollows  = 300 * time.Millisecond
	tellAgain   = 10 * time.Second
)

// WatchMemory calls tell, with the number of processes and whether it was for the task's own limit, within a second after
// the kernel killed some of the task's for want of memory, unless that ends the task. It is called again at most every 10 seconds. Without a memory cgroup nothing
// is ever told.
func (p *Process) WatchMemory(tell func(killed int, limit bool)) error {
	w := &memoryWatch{process: p, tell: tell, known: p.state.Group.OOMKills()}
	stop, err := p.link.memory.add(p.state.Group, w)
	if err != nil || stop == nil {
		return err
	}
	go func() { // ends with the task
		<-p.done
		stop()
	}()
	return nil
}

// changed is called when the group's account of kills has changed or is about to.
func (w *memoryWatch) changed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.busy {
		w.busy = true
		go w.look()
	}
}

// look tells what there is to tell until nothing changes any more.
func (w *memoryWatch) look() {
	for {
		for end := time.Now().Add(killFollows); w.fresh() == 0 && time.Now().Before(end); {
			if w.ended(10 * time.Millisecond) {
				return
			}
		}
		if w.ended(endFollows) {
			return
		}
		w.mu.Lock()
		n := w.process.state.Group.OOMKills()
		killed := n - w.known
		w.known = n
		if killed <= 0 {
			w.busy = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		w.tell(killed, w.process.state.Group.LimitReached())
		if w.ended(tellAgain) {
			return
		}
	}
}

func (w *memoryWatch) fresh() int { return w.process.state.Group.OOMKills() - w.known }

// ended waits for the task's end, for a while.
func (w *memoryWatch) ended(within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-w.process.done:
		return true
	case <-timer.C:
		return false
	}
}
