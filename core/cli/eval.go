package cli

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/model"
)

func evalCommands(a *app) []*cobra.Command {
	return []*cobra.Command{parent("eval", "Look at evaluations", evalList(a), evalStatus(a), evalDelete(a))}
}

func evalRows(evals []*model.Evaluation, verbose bool) [][]string {
	rows := [][]string{{"ID", "Priority", "Triggered By", "Job ID", "Status", "Placement Failures"}}
	for i := len(evals) - 1; i >= 0; i-- {
		e := evals[i]
		failures := "false"
		if e.Status == model.EvalBlocked {
			failures = "N/A - In Progress"
		} else if len(e.FailedTGAllocs) > 0 {
			failures = "true"
		}
		rows = append(rows, []string{short(e.ID, verbose), strconv.Itoa(e.Priority), e.TriggeredBy, e.JobID, e.Status, failures})
	}
	return rows
}

func evalList(a *app) *cobra.Command {
	var status, job, filter, token string
	var perPage int
	var verbose bool
	c := &cobra.Command{Use: "list", Short: "List evaluations", Args: cobra.NoArgs}
	f := addFormat(c)
	c.Flags().StringVar(&status, "status", "", "only those with this status")
	c.Flags().StringVar(&job, "job", "", "only those of this job")
	c.Flags().StringVar(&filter, "filter", "", "only those an expression holds for")
	c.Flags().IntVar(&perPage, "per-page", 0, "at most this many")
	c.Flags().StringVar(&token, "page-token", "", "go on where a page ended")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		q := query{"status": status, "job": job, "filter": filter, "next_token": token}
		if perPage > 0 {
			q["per_page"] = strconv.Itoa(perPage)
		}
		var evals []*model.Evaluation
		if _, err := cl.get(cmd.Context(), "/v1/evaluations", q, &evals); err != nil {
			return err
		}
		return f.print(a.Stdout, evals, func(w io.Writer) {
			if len(evals) == 0 {
				fmt.Fprintln(w, "No evals found")
				return
			}
			printTable(w, evalRows(evals, verbose)...)
		})
	}
	return c
}

func evalStatus(a *app) *cobra.Command {
	var monitor, verbose bool
	c := &cobra.Command{Use: "status <eval>", Short: "Show an evaluation and what it decided", Args: cobra.ExactArgs(1)}
	f := addFormat(c)
	c.Flags().BoolVar(&monitor, "monitor", false, "watch until it is done")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		id, err := cl.resolve(cmd.Context(), "evals", "evaluation", args[0])
		if err != nil {
			return err
		}
		if monitor {
			return a.monitor(cmd.Context(), cl, id, verbose)
		}
		var e model.Evaluation
		if _, err := cl.get(cmd.Context(), "/v1/evaluation/"+seg(id), query{"related": "true"}, &e); err != nil {
			return err
		}
		var stubs []*model.AllocListStub
		if _, err := cl.get(cmd.Context(), "/v1/evaluation/"+seg(id)+"/allocations", nil, &stubs); err != nil {
			return err
		}
		return f.print(a.Stdout, &e, func(w io.Writer) { evalText(w, &e, stubs, verbose) })
	}
	return c
}

func evalText(w io.Writer, e *model.Evaluation, stubs []*model.AllocListStub, verbose bool) {
	opt := func(name, value string) [2]string {
		if value == "" {
			return [2]string{}
		}
		return [2]string{name, short(value, verbose)}
	}
	wait := [2]string{}
	if !e.WaitUntil.IsZero() {
		wait = [2]string{"Wait Until", stamp(e.WaitUntil)}
	}
	printKeys(w,
		[2]string{"ID", e.ID}, [2]string{"Create Time", ago(e.CreateTime)}, [2]string{"Modify Time", ago(e.ModifyTime)},
		[2]string{"Status", e.Status}, [2]string{"Status Description", first(e.StatusDescription, e.Status)}, [2]string{"Type", e.Type},
		[2]string{"TriggeredBy", e.TriggeredBy}, [2]string{"Job ID", e.JobID}, [2]string{"Namespace", e.Namespace},
		opt("Node ID", e.NodeID), opt("Deployment ID", e.DeploymentID), [2]string{"Priority", strconv.Itoa(e.Priority)},
		[2]string{"Placement Failures", strconv.FormatBool(len(e.FailedTGAllocs) > 0)}, wait,
		opt("Previous Eval", e.PreviousEval), opt("Next Eval", e.NextEval), opt("Blocked Eval", e.BlockedEval))
	if len(e.RelatedEvals) > 0 {
		section(w, "Related Evaluations")
		rows := [][]string{{"ID", "Priority", "Triggered By", "Status", "Description"}}
		for _, r := range e.RelatedEvals {
			rows = append(rows, []string{short(r.ID, verbose), strconv.Itoa(r.Priority), r.TriggeredBy, r.Status, r.StatusDescription})
		}
		printTable(w, rows...)
	}
	if len(stubs) > 0 {
		section(w, "Placed Allocations")
		printTable(w, allocRows(stubs, verbose)...)
	}
	if len(e.FailedTGAllocs) > 0 {
		section(w, "Failed Placements")
		for _, g := range sortedKeys(e.FailedTGAllocs) {
			m := e.FailedTGAllocs[g]
			fmt.Fprintf(w, "Task Group %q (failed to place %d allocation(s)):\n", g, m.CoalescedFailures+1)
			printMetric(w, m, "  ")
		}
	}
}

func evalDelete(a *app) *cobra.Command {
	var filter string
	var yes bool
	c := &cobra.Command{Use: "delete [eval...]", Short: "Delete evaluations while the broker is paused"}
	c.Flags().StringVar(&filter, "filter", "", "those an expression holds for")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if (filter == "") == (len(args) == 0) {
			return fmt.Errorf("name evaluations or give -filter, one of both")
		}
		cl, err := a.api()
		if err != nil {
			return err
		}
		ids := make([]string, len(args))
		for i, v := range args {
			if ids[i], err = cl.resolve(cmd.Context(), "evals", "evaluation", v); err != nil {
				return err
			}
		}
		var resp struct{ Count int }
		body := map[string]any{"EvalIDs": ids, "Filter": filter}
		if err := cl.send(cmd.Context(), "DELETE", "/v1/evaluations", nil, body, &resp); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "%d evaluation(s) deleted\n", resp.Count)
		return nil
	}
	return c
}
