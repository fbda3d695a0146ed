package docker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
)

// counter prints n lines on each stream, some of them in bursts.
func counter(n int) string {
	return fmt.Sprintf(`i=0; while [ $i -lt %d ]; do echo out $i; echo err $i >&2; i=$((i+1)); [ $((i %% 50)) = 0 ] && sleep 0.02; done; exit 9`, n)
}

// recoverTask gives a new plugin process what the one before returned.
func (r *rig) recoverTask(s *host.StartResult) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if err := r.driver.RecoverTask(ctx, &s.Handle); err != nil {
		r.Fatal(err)
	}
}

// The plugin is killed again and again; every line arrives once, and so does the exit code.
func TestKilledPluginLosesNothing(t *testing.T) {
	r := newRig(t, nil).launch()
	const n = 4000
	task := r.task(counter(n), nil)
	started := r.start(task)
	for kills := 0; kills < 5; kills++ {
		before := len(r.out(task))
		r.until("more output", func() bool { return len(r.out(task)) > before || !r.inspect(task).State.Running })
		r.kill(r.process)
		r.launch()
		r.recoverTask(started)
	}
	if exit := r.wait(task); exit.ExitCode != 9 {
		t.Errorf("exit %+v, want code 9", exit)
	}
	sameText(t, "stdout", r.out(task), lines("out", n))
	sameText(t, "stderr", r.err(task), lines("err", n))
}

// The task ends while no plugin runs.
func TestEndsWhilePluginIsDead(t *testing.T) {
	r := newRig(t, nil).launch()
	task := r.task("echo a; sleep 0.5; echo b; exit 4", nil)
	started := r.start(task)
	r.until("the first line", func() bool { return r.out(task) == "a\n" })
	r.kill(r.process)
	r.until("the container ends", func() bool { return !r.inspect(task).State.Running })
	r.launch()
	r.recoverTask(started)
	if exit := r.wait(task); exit.ExitCode != 4 {
		t.Errorf("exit %+v, want code 4", exit)
	}
	if got := r.out(task); got != "a\nb\n" {
		t.Errorf("output %q", got)
	}
}

// Output as fast as it goes. Where the engine rotates faster than it is read it may drop lines (20.10 does), but none
// comes twice or out of order.
func TestFlood(t *testing.T) {
	r := newRig(t, nil).launch()
	const n = 100000
	script := fmt.Sprintf(`awk 'BEGIN { for (i = 0; i < %d; i++) printf "line %%09d of a log that is written as fast as it goes\n", i }'`, n)
	for name, test := range map[string]struct {
		options map[string]any
		whole   bool
	}{
		"rotated":  {nil, false},
		"one file": {map[string]any{"logging": []any{map[string]any{"type": "json-file", "config": []any{map[string]any{"max-size": "100m"}}}}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			task := r.task(script, test.options)
			r.start(task)
			r.wait(task)
			count, last := 0, -1
			for s := bufio.NewScanner(strings.NewReader(r.out(task))); s.Scan(); count++ {
				if strings.HasPrefix(s.Text(), "[drover: output is missing") && !test.whole {
					count--
					continue
				}
				var i int
				if _, err := fmt.Sscanf(s.Text(), "line %d of a log", &i); err != nil || i <= last {
					t.Fatalf("line %q after number %d", s.Text(), last)
				}
				last = i
			}
			if test.whole && count != n || last != n-1 {
				t.Errorf("%d lines of %d, the last is %d", count, n, last)
			}
		})
	}
}

// Without a collector the plugin writes into the FIFOs.
func TestFIFO(t *testing.T) {
	r := newRig(t, nil)
	r.env, r.collector = nil, nil
	r.launch()
	const n = 500
	task := r.task(counter(n), nil)
	read := map[string]*fifo{task.StdoutPath: newFIFO(t, task.StdoutPath), task.StderrPath: newFIFO(t, task.StderrPath)}
	started := r.start(task)
	r.until("some output", func() bool { return read[task.StdoutPath].text() != "" })
	r.kill(r.process)
	r.launch()
	r.recoverTask(started)
	if exit := r.wait(task); exit.ExitCode != 9 {
		t.Errorf("exit %+v", exit)
	}
	for path, prefix := range map[string]string{task.StdoutPath: "out", task.StderrPath: "err"} {
		r.until("the last line", func() bool { return strings.HasSuffix(read[path].text(), fmt.Sprintf("%s %d\n", prefix, n-1)) })
		// A kill between the write and its record may repeat that write, and loses nothing.
		seen := map[string]bool{}
		for s := bufio.NewScanner(strings.NewReader(read[path].text())); s.Scan(); {
			seen[s.Text()] = true
		}
		if len(seen) != n {
			t.Errorf("%s: %d different lines, want %d", prefix, len(seen), n)
		}
	}
}

type fifo struct {
	mu   sync.Mutex
	data []byte
}

func newFIFO(t *testing.T, path string) *fifo {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	out := &fifo{}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			out.mu.Lock()
			out.data = append(out.data, buf[:n]...)
			out.mu.Unlock()
			if err == io.EOF || err != nil {
				return
			}
		}
	}()
	return out
}

func (f *fifo) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return string(f.data)
}

func TestRecoverRefusals(t *testing.T) {
	r := newRig(t, nil).launch()
	task, other := r.task("sleep 1000", nil), r.task("sleep 1000", nil)
	started, second := r.start(task), r.start(other)
	r.destroy(other)
	r.kill(r.process)
	r.launch()
	if err := r.driver.RecoverTask(t.Context(), &second.Handle); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("removed container: %v", err)
	}
	wrong := second.Handle
	wrong.DriverState = started.Handle.DriverState
	if err := r.driver.RecoverTask(t.Context(), &wrong); err == nil || !strings.Contains(err.Error(), "not that of task") {
		t.Errorf("another task's container: %v", err)
	}
	r.recoverTask(started)
}

// The plugin was killed before it could tell the host about the container: the second attempt adopts it.
func TestAdoption(t *testing.T) {
	r := newRig(t, nil).launch()
	task := r.task("echo $$; sleep 1000", nil)
	r.start(task)
	id := r.inspect(task).ID
	r.kill(r.process)
	r.launch()
	r.start(task)
	if now := r.inspect(task).ID; now != id {
		t.Errorf("container %s instead of %s", now, id)
	}
}

// A container that was removed behind the driver's back ends the task, and says so.
func TestRemovedBehindOurBack(t *testing.T) {
	r := newRig(t, nil).launch()
	task := r.task("sleep 1000", nil)
	r.start(task)
	if err := removeContainer(t.Context(), r.daemon.client, r.inspect(task).ID); err != nil {
		t.Fatal(err)
	}
	if exit := r.wait(task); exit.Successful() {
		t.Errorf("exit %+v", exit)
	}
}

func TestDaemonRestarts(t *testing.T) {
	for name, live := range map[string]bool{"live-restore": true, "without live-restore": false} {
		t.Run(name, func(t *testing.T) {
			d := docker(t)
			d.stop(syscall.SIGTERM)
			d.live = live
			if err := d.start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if !live {
					d.stop(syscall.SIGTERM)
					d.live = true
					if err := d.start(); err != nil {
						t.Error(err)
					}
				}
			})
			r := newRig(t, nil).launch()
			var mu sync.Mutex
			var health []driver.Health
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go r.driver.Fingerprint(ctx, func(f driver.Fingerprint) error {
				mu.Lock()
				defer mu.Unlock()
				health = append(health, f.Health)
				return nil
			})
			now := func() driver.Health {
				mu.Lock()
				defer mu.Unlock()
				if len(health) == 0 {
					return -1
				}
				return health[len(health)-1]
			}
			r.until("healthy", func() bool { return now() == driver.Healthy })
			task := r.task(`i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.05; done`, nil)
			r.start(task)
			r.until("output", func() bool { return strings.Contains(r.out(task), "tick 5") })
			begin := time.Now()
			d.stop(syscall.SIGTERM)
			r.until("unhealthy", func() bool { return now() == driver.Unhealthy })
			if err := d.start(); err != nil {
				t.Fatal(err)
			}
			r.until("healthy again", func() bool { return now() == driver.Healthy })
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("health took %s", took)
			}
			if !live {
				if exit := r.wait(task); exit.Successful() || !strings.Contains(exit.Err, "live-restore is off") {
					t.Errorf("exit %+v", exit)
				}
				return
			}
			from := strings.Count(r.out(task), "\n")
			r.until("more output", func() bool { return strings.Count(r.out(task), "\n") > from+20 })
			if err := r.driver.StopTask(t.Context(), task.ID, 0, "SIGKILL"); err != nil {
				t.Fatal(err)
			}
			r.wait(task)
			got := r.out(task)
			sameText(t, "stdout", got, lines("tick", strings.Count(got, "\n")))
		})
	}
}

func sameText(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	t.Errorf("%s differs from byte %d (%d bytes, want %d): %.80q, want %.80q", what, i, len(got), len(want), got[i:], want[i:])
}
