package slim

import (
	"sync"
	"time"
)

// When a process is trimmed after its start, and how often from then on. Each
// time costs about a millisecond, and some page faults when it is used next.
const (
	first = 500 * time.Millisecond
	again = 3 * time.Second
	every = 30 * time.Second
)

// Start trims this process from time to time until stop is called.
func Start() (stop func()) {
	done := make(chan struct{})
	go func() {
		for wait := first; ; {
			select {
			case <-time.After(wait):
			case <-done:
				return
			}
			Trim()
			if wait == first {
				wait = again
			} else {
				wait = every
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}
