package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// wide is a job with a number of groups, each with so much text in it.
func wide(groups, text int) map[string]any {
	var list []any
	for i := range groups {
		task := map[string]any{"Name": "t", "Driver": "raw_exec", "Config": map[string]any{"command": "/bin/true"}}
		if text > 0 {
			task["Meta"] = map[string]string{"text": strings.Repeat("x", text)}
		}
		list = append(list, map[string]any{"Name": fmt.Sprint(i), "Tasks": []any{task}})
	}
	return map[string]any{"Job": map[string]any{"ID": "wide", "Name": "wide", "Type": "batch", "Datacenters": []string{"*"}, "TaskGroups": list}}
}

// A job with very many groups is accepted or refused at once, and a refusal names the limit.
func TestWideJob(t *testing.T) {
	s := harness.Start(t, harness.Options{NoRawExec: true, Server: "bootstrap_expect = 1"})
	took := func(what string, fn func()) {
		began := time.Now()
		fn()
		d := time.Since(began)
		t.Logf("%s: %v", what, d.Round(time.Millisecond))
		if d > 10*time.Second { // a second on a machine that has nothing else to do
			t.Errorf("%s took %v", what, d)
		}
	}
	took("10,000 small groups", func() {
		if err := s.Call("PUT", "/v1/jobs", wide(10_000, 0), nil); err != nil && !strings.Contains(err.Error(), "limit") {
			t.Errorf("refused without a limit: %v", err)
		}
	})
	took("10,000 large groups", func() {
		if err := s.Call("PUT", "/v1/jobs", wide(10_000, 500), nil); err == nil || !strings.Contains(err.Error(), "limit of") {
			t.Errorf("not refused with the limit: %v", err)
		}
	})
	took("a small write after them", func() {
		if err := write(s, "after"); err != nil {
			t.Error(err)
		}
	})
}
