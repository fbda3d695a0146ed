package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/explain"
)

// monitor follows an evaluation until the scheduler is done with it, then the instances it placed until they run, and
// prints each step. The error is an exit code: 2 when instances could not be placed.
func (a *app) monitor(ctx context.Context, c *client, evalID string, verbose bool) error {
	out := a.Stdout
	say := func(format string, args ...any) {
		fmt.Fprintf(out, "    %s\n", fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(out, "==> %s: Monitoring evaluation %q\n", time.Now().Format(time.RFC3339), short(evalID, verbose))
	ev, err := followEval(ctx, c, evalID, say)
	if err != nil {
		return err
	}
	for ev.NextEval != "" && ev.Status == model.EvalComplete {
		say("Following evaluation %q", short(ev.NextEval, verbose))
		if ev, err = followEval(ctx, c, ev.NextEval, say); err != nil {
			return err
		}
	}
	if len(ev.FailedTGAllocs) > 0 {
		fmt.Fprintf(out, "==> %s: Evaluation %q finished with status %q but failed to place all allocations:\n",
			time.Now().Format(time.RFC3339), short(ev.ID, verbose), ev.Status)
		for _, g := range sortedKeys(ev.FailedTGAllocs) {
			m := ev.FailedTGAllocs[g]
			fmt.Fprintf(out, "    Task Group %q (failed to place %d allocation(s)):\n", g, m.CoalescedFailures+1)
			printMetric(out, m, "      ")
		}
		if ev.BlockedEval != "" {
			fmt.Fprintf(out, "    Evaluation %q waits for capacity to place the rest\n", short(ev.BlockedEval, verbose))
		}
		return &exitError{code: 2}
	}
	if ev.Status != model.EvalComplete {
		return &exitError{2, fmt.Sprintf("Evaluation %q ended with status %q: %s", short(ev.ID, verbose), ev.Status, ev.StatusDescription)}
	}
	failed, err := a.followAllocs(ctx, c, ev, verbose)
	if err != nil {
		return err
	}
	if ev.DeploymentID != "" {
		return a.followDeployment(ctx, c, ev.DeploymentID, verbose) // it decides what a failed instance means
	}
	if failed > 0 {
		return &exitError{2, fmt.Sprintf("%d allocation(s) failed; `drover alloc status <id>` tells why", failed)}
	}
	return nil
}

func followEval(ctx context.Context, c *client, id string, say func(string, ...any)) (*model.Evaluation, error) {
	var last *model.Evaluation
	err := watch(ctx, c, "/v1/evaluation/"+seg(id), nil, func(e *model.Evaluation) (bool, error) {
		if last == nil {
			say("Evaluation triggered by %s of job %q", e.TriggeredBy, e.JobID)
		}
		if last == nil || last.Status != e.Status {
			say("Evaluation status is %q", e.Status)
		}
		last = e
		return e.Terminal() || e.Status == model.EvalBlocked, nil
	})
	return last, err
}

// followAllocs prints each change of the placed instances until none is pending or their roll-out has ended without them,
// and counts those that failed.
func (a *app) followAllocs(ctx context.Context, c *client, ev *model.Evaluation, verbose bool) (failed int, err error) {
	seen := map[string]string{}
	err = watch(ctx, c, "/v1/evaluation/"+seg(ev.ID)+"/allocations", nil, func(stubs []*model.AllocListStub) (bool, error) {
		pending := 0
		failed = 0
		for _, s := range stubs {
			old, known := seen[s.ID]
			switch {
			case !known:
				fmt.Fprintf(a.Stdout, "    Allocation %q created on node %q, group %q\n", short(s.ID, verbose), first(s.NodeName, short(s.NodeID, verbose)), s.TaskGroup)
			case old != s.ClientStatus:
				fmt.Fprintf(a.Stdout, "    Allocation %q: %s\n", short(s.ID, verbose), describe(old, s))
			}
			seen[s.ID] = s.ClientStatus
			if s.ClientStatus == model.AllocClientPending && s.DesiredStatus == model.AllocDesiredRun {
				pending++
			}
			if s.ClientStatus == model.AllocClientFailed {
				failed++
			}
		}
		return pending == 0 || ev.DeploymentID != "" && deploymentEnded(ctx, c, ev.DeploymentID), nil
	})
	if err == nil {
		fmt.Fprintf(a.Stdout, "==> %s: Evaluation %q finished\n", time.Now().Format(time.RFC3339), short(ev.ID, verbose))
	}
	return failed, err
}

func describe(old string, s *model.AllocListStub) string {
	text := fmt.Sprintf("%s -> %s", old, s.ClientStatus)
	if s.ClientStatus != model.AllocClientFailed {
		return text
	}
	for _, name := range sortedKeys(s.TaskStates) {
		if why := failure(s.TaskStates[name]); why != "" {
			return fmt.Sprintf("%s (task %q: %s)", text, name, why)
		}
	}
	return text
}

// failure is the newest event that says why a task failed, not what followed from it.
func failure(t *model.TaskState) string {
	if !t.Failed {
		return ""
	}
	for i := len(t.Events) - 1; i >= 0; i-- {
		switch e := t.Events[i]; e.Type {
		case model.EventDriverFailure, model.EventFailedValidation, model.EventSetupFailure, model.EventHookFailed, model.EventTerminated,
			model.EventArtifactFailed, model.EventSiblingFailed, model.EventFailedRestore:
			return e.DisplayMessage
		}
	}
	return ""
}

// printMetric explains why instances of a group could not be placed.
func printMetric(w io.Writer, m *model.AllocMetric, indent string) {
	for _, line := range explain.Failure(m) {
		fmt.Fprintf(w, "%s* %s\n", indent, line)
	}
}
