//go:build linux

package tasklog

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Whatever the collector is doing when it is killed, every line is in the files exactly once.
func TestKilledAtFailpoint(t *testing.T) {
	const lines = 12_000
	want := testLines(lines)
	for _, place := range []string{placeTaken, placeMoved, placeRotated} {
		for _, count := range []int{1, 7} {
			if count == 1 && place != placeRotated {
				count = 2 // dies at the second step of each life: one step further each time
			}
			t.Run(fmt.Sprintf("%s:%d", place, count), func(t *testing.T) {
				t.Parallel()
				n := newNode(t, fmt.Sprintf("%s=%s:%d", failpointEnv, place, count))
				c := n.client()
				s := n.stream("web.stdout")
				s.MaxFileSize = 66 << 10
				ctx := testContext(t)
				must(t, c.OpenStream(ctx, s))
				w := n.write(s.FIFO, lines, 3000)
				w.written()
				must(t, c.CloseStream(ctx, s.ID))
				w.end()
				sameLog(t, n.content(s.Prefix), want)
				if c.launches.Load() < 4 {
					t.Errorf("only %d collectors were needed, the test showed nothing", c.launches.Load())
				}
			})
		}
	}
}

// The same with kills at any time, many streams, and writers that end while the collector is dead.
func TestKilledAtRandom(t *testing.T) {
	const lines, streams = 60_000, 6
	n := newNode(t)
	c := n.client()
	ctx := testContext(t)
	var writers []*writer
	for i := range streams {
		s := n.stream(fmt.Sprintf("t%d", i))
		s.MaxFileSize = 100 << 10
		must(t, c.OpenStream(ctx, s))
		writers = append(writers, n.write(s.FIFO, lines, []int{0, 100, 4096, 10_000}[i%4]))
	}
	stop := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rand.IntN(20_000)) * time.Microsecond):
			}
			if pid := c.PID(); pid > 0 {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	for _, w := range writers {
		w.written()
		w.end() // nobody but the client holds the pipe now
	}
	close(stop)
	killer.Wait()
	want := testLines(lines)
	for i := range streams {
		must(t, c.CloseStream(ctx, fmt.Sprintf("t%d", i)))
		sameLog(t, n.content(fmt.Sprintf("t%d", i)), want)
	}
	t.Logf("killed %d times", c.launches.Load()-1)
}

// A collector that dies while closing a stream still removes FIFO and record, and answers.
func TestKilledWhileClosing(t *testing.T) {
	for _, place := range []string{placeDrained, placeRemoved} {
		t.Run(place, func(t *testing.T) {
			n := newNode(t, failpointEnv+"="+place+":2")
			c := n.client()
			ctx := testContext(t)
			for i := range 4 {
				s := n.stream(fmt.Sprintf("t%d", i))
				must(t, c.OpenStream(ctx, s))
				w := n.write(s.FIFO, 10, 0)
				w.written()
				must(t, c.CloseStream(ctx, s.ID))
				w.end()
				sameLog(t, n.content(s.Prefix), testLines(10))
				if _, err := os.Lstat(s.FIFO); err == nil {
					t.Errorf("fifo of %s was left", s.ID)
				}
			}
			if c.launches.Load() < 2 {
				t.Error("the collector never died, the test showed nothing")
			}
		})
	}
}
