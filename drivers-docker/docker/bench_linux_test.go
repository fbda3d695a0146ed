package docker

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestStartCost compares starts through the driver with docker run, in the same run on the same engine. It is a measurement:
// DROVER_TIER=bench asks for it.
func TestStartCost(t *testing.T) {
	if os.Getenv("DROVER_TIER") != "bench" {
		t.Skip("DROVER_TIER=bench measures")
	}
	r := newRig(t, nil).launch()
	const n, atOnce, pairs = 30, 8, 5
	each := func(f func(i int)) time.Duration {
		begin := time.Now()
		slots := make(chan struct{}, atOnce)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				slots <- struct{}{}
				f(i)
				<-slots
			})
		}
		wg.Wait()
		return time.Since(begin)
	}
	var ratios []float64
	for pair := range pairs {
		tasks := r.tasks[:0]
		for range n {
			tasks = append(tasks, r.task("sleep 1000", nil))
		}
		ours := each(func(i int) {
			if _, err := r.driver.StartTask(t.Context(), tasks[i]); err != nil {
				t.Error(err)
			}
		})
		if pair == 0 {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.process.Pid()))
			for _, line := range strings.Split(string(status), "\n") {
				if strings.HasPrefix(line, "VmRSS") {
					t.Logf("plugin with %d tasks: %s", n, line)
				}
			}
		}
		each(func(i int) { r.destroy(tasks[i]) })
		run := func(i int) {
			out, err := exec.Command("docker", "-H", r.daemon.endpoint(), "run", "-d", "--name", fmt.Sprintf("run%d-%d", pair, i), busybox, "sleep", "1000").CombinedOutput()
			if err != nil {
				t.Errorf("%s", out)
			}
		}
		theirs := each(run)
		each(func(i int) { _ = removeContainer(t.Context(), r.daemon.client, fmt.Sprintf("run%d-%d", pair, i)) })
		ratios = append(ratios, float64(ours)/float64(theirs))
		t.Logf("driver %s, docker run %s, ratio %.2f", ours, theirs, ratios[pair])
	}
	slices.Sort(ratios)
	t.Logf("median ratio %.2f (must be at most 1.25)", ratios[pairs/2])
	if ratios[pairs/2] > 1.25 {
		t.Error("starts cost too much")
	}
}
