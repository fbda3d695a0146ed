package allocrunner

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/droverhq/drover/core/node/checks"
	"github.com/droverhq/drover/core/rpc"
)

// CheckResults tells what each check of the allocation said last, by the check's ID. Checks of services that are not
// shown, because their task does not run, have no result.
func (r *Runner) CheckResults() map[string]rpc.CheckResult {
	a := r.Alloc()
	results := map[string]rpc.CheckResult{}
	r.services.mu.Lock()
	defer r.services.mu.Unlock()
	for owner, e := range r.services.shown {
		list, _ := of(a, owner)
		for _, svc := range list {
			for _, c := range svc.Checks {
				state := e.checks[checkKey{svc.Name, c.Name}]
				if state == nil {
					continue
				}
				res := rpc.CheckResult{
					ID: checkID(a.ID, owner, svc.Name, c.Name), Check: c.Name, Group: a.Name, Service: svc.Name, Task: owner,
					Mode: "healthiness", Status: string(state.status), Output: state.last.Output, StatusCode: state.last.StatusCode,
				}
				if !checks.Gates(svc, c) {
					res.Mode = "readiness"
				}
				if !state.at.IsZero() {
					res.Timestamp = state.at.Unix()
				}
				results[res.ID] = res
			}
		}
	}
	return results
}

// checkID names a check among all allocations, the same over restarts of the agent.
func checkID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}
