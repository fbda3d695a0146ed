package onemachine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// A periodic job launches children by the clock, one at a time when it says so, until it is stopped.
func TestPeriodic(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	job := strings.Replace(simple("tick", "raw_exec", `command = "/bin/sh"
args = ["-c", "while [ ! -e `+a.DataDir+`/go ]; do sleep 0.02; done"]`), `type = "batch"`, `type = "batch"
  periodic {
    crons            = ["* * * * * * *"]
    prohibit_overlap = true
  }`, 1)
	a.RunJob(job)
	children := func() (dead, other int) {
		var jobs []struct{ ParentID, Status string }
		if err := a.Get("/v1/jobs?prefix=tick/", &jobs); err != nil {
			t.Fatal(err)
		}
		for _, j := range jobs {
			if j.Status == "dead" {
				dead++
			} else {
				other++
			}
		}
		return dead, other
	}
	harness.Eventually(t, 20*time.Second, "a child runs", func() error {
		if _, other := children(); other == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	// Two launches would be due in this time; the child that runs prevents them.
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if dead, other := children(); dead != 0 || other != 1 {
			t.Fatalf("%d children ended and %d run although they must not overlap", dead, other)
		}
	}
	touch(t, a.DataDir+"/go")
	harness.Eventually(t, 20*time.Second, "children follow each other", func() error {
		if dead, _ := children(); dead < 2 {
			return fmt.Errorf("%d ended", dead)
		}
		return nil
	})
	a.MustCLI("job", "stop", "-detach", "tick")
	var parent struct{ Status string }
	if err := a.Get("/v1/job/tick", &parent); err != nil || parent.Status != "dead" {
		t.Errorf("the stopped parent is %+v, %v", parent, err)
	}
}
