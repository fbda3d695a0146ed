//go:build linux

package pluginhost

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/core/tasklog"
)

// A plugin that floods every stream and its stderr, and changes its health all the time: its health does not flap, and
// the others work.
func TestFloodingPlugin(t *testing.T) {
	r := newRoom(t)
	collector, err := tasklog.Ensure(t.Context(), collectorConfig(r.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { collector.Close() })
	r.config.Collector = collector
	r.plugin("flood", "T_NAME=flood", "T_FLOOD=1")
	r.plugin("test")
	h := r.start()
	d := r.ready(h, "flood")
	if _, err := d.StartTask(t.Context(), r.task(d, "f", nil)); err != nil {
		t.Fatal(err)
	}
	good := r.ready(h, "test")
	const tasks = 50
	for i := range tasks {
		id := fmt.Sprint("t", i)
		if _, err := good.StartTask(t.Context(), r.task(good, id, nil)); err != nil {
			t.Fatal(err)
		}
		if err := good.DestroyTask(t.Context(), id, true); err != nil {
			t.Fatal(err)
		}
		if s, _ := h.Watch(); !s.Drivers["flood"].Healthy || !s.Drivers["test"].Healthy {
			t.Fatalf("health flaps:\n%s", table(s))
		}
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	const most = 200 << 20
	if mem.HeapAlloc > most {
		t.Errorf("heap is %d MiB", mem.HeapAlloc>>20)
	}
	syscall.Kill(d.Pid(), syscall.SIGKILL)
}

func TestPluginWithoutFingerprint(t *testing.T) {
	r := newRoom(t)
	r.config.Limits.Lifecycle.FirstFingerprint = 200 * time.Millisecond
	r.plugin("test", "T_HANG=Fingerprint")
	h := r.start()
	s := r.until(h, "overdue", func(s *Snapshot) bool { return info(s, "test", 1).State == "unhealthy" })
	if words := s.Drivers["test"].HealthDescription; !strings.Contains(words, "no fingerprint within") {
		t.Errorf("description %q", words)
	}
}

// A plugin behind a script that does not exec: the socket belongs to a child of the process we started.
func TestPluginBehindAWrapper(t *testing.T) {
	r := newRoom(t)
	r.script("test", "export T_ROLE=plugin\n"+os.Args[0]+" \"$@\"\nexit $?")
	h := r.start()
	r.ready(h, "test")
	r.stop(h, false)
	h = r.start()
	r.ready(h, "test")
}

// What a plugin prints to stdout after its introduction must not block it, nor end in its log.
func TestPluginThatPrints(t *testing.T) {
	r := newRoom(t)
	r.script("test", "export T_ROLE=plugin\n(sleep 0.2; head -c 1000000 /dev/zero | tr '\\0' x; echo; echo printed all >&2) &\nexec "+os.Args[0])
	h := r.start()
	r.ready(h, "test")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := h.PluginLogs(ctx, "test", true, func(line []byte) error {
		if string(line) == "printed all" {
			cancel()
		}
		return nil
	})
	if ctx.Err() == context.DeadlineExceeded {
		t.Errorf("it hangs on its stdout: %v", err)
	}
	if err := h.PluginLogs(t.Context(), "nobody", false, nil); err == nil {
		t.Error("logs of an unknown plugin")
	}
}

// Restarts cost nothing that stays: goroutines, descriptors, memory, sockets, zombies. DROVER_TIER=soak: 1,000 of them.
func TestManyRestartsLeaveNothing(t *testing.T) {
	r := newRoom(t)
	r.config.Limits.Lifecycle.Relaunch = []time.Duration{0}
	r.plugin("test")
	h := r.start()
	d := r.ready(h, "test")
	handles := r.fill(d, 10)
	kill := func(times int) (worst time.Duration) {
		for range times {
			began := time.Now()
			syscall.Kill(d.Pid(), syscall.SIGKILL)
			<-d.Done()
			next, err := h.DriverOf(t.Context(), "test", 1)
			if err != nil {
				t.Fatal(err)
			}
			for id, handle := range handles {
				if err := next.RecoverTask(t.Context(), handle); err != nil {
					t.Fatalf("%s: %v", id, err)
				}
			}
			worst, d = max(worst, time.Since(began)), next
		}
		return worst
	}
	kill(5)
	goroutines, files, memory := runtime.NumGoroutine(), openFiles(t), heap()
	restarts := 50
	if os.Getenv("DROVER_TIER") == "soak" {
		restarts = 1000
	}
	worst := kill(restarts)
	t.Logf("slowest of %d relaunches with 10 tasks recovered: %s; heap %d KiB, was %d KiB", restarts, worst, heap()>>10, memory>>10)
	if n := heap(); n > memory+4<<20 {
		t.Errorf("heap: %d, was %d", n, memory)
	}
	if pids := zombies(); len(pids) > 0 {
		t.Errorf("zombies: %v", pids)
	}
	const slack = 10
	if n := runtime.NumGoroutine(); n > goroutines+slack {
		t.Errorf("goroutines: %d, were %d", n, goroutines)
	}
	if n := openFiles(t); n > files+slack {
		t.Errorf("descriptors: %d, were %d", n, files)
	}
	left, _ := filepath.Glob(filepath.Join(r.config.RunDir, "p", "*", "*", "*"))
	if len(left) > 2 { // the socket and the FIFO of the one that runs
		t.Errorf("sockets and FIFOs: %v", left)
	}
	if pids := r.processes(); len(pids) > 1 {
		t.Errorf("processes: %v", pids)
	}
}

// heap is the memory in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// zombies are children of this process that have ended and that nobody waited for.
func zombies() (pids []string) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(text), ") ")
		if strings.HasPrefix(rest, fmt.Sprintf("Z %d ", os.Getpid())) {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// The collector gets a new stream for every process and keeps none of the old ones.
func TestRelaunchWithCollector(t *testing.T) {
	r := newRoom(t)
	collector, err := tasklog.Ensure(t.Context(), collectorConfig(r.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { collector.Close() })
	r.config.Collector = collector
	r.plugin("test", "T_WAIL=line")
	h := r.start()
	d := r.ready(h, "test")
	for range 3 {
		syscall.Kill(d.Pid(), syscall.SIGKILL)
		<-d.Done()
		if d, err = h.DriverOf(t.Context(), "test", 1); err != nil {
			t.Fatal(err)
		}
	}
	list, err := collector.List(t.Context())
	if err != nil || len(list) != 2 {
		t.Errorf("streams %+v, error %v", list, err)
	}
	r.stop(h, true)
	if list, err := collector.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("streams after the end %+v, error %v", list, err)
	}
}
