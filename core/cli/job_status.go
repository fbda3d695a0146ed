package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/model"
)

func jobStatus(a *app) *cobra.Command {
	var shortForm, evals, all, verbose bool
	c := &cobra.Command{Use: "status [job]", Short: "List jobs, or show one", Args: cobra.MaximumNArgs(1)}
	f := addFormat(c)
	c.Flags().BoolVar(&shortForm, "short", false, "only the job itself")
	c.Flags().BoolVar(&evals, "evals", false, "show evaluations")
	c.Flags().BoolVar(&all, "all-allocs", false, "show allocations of purged jobs of that name too")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs and more columns")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return a.listJobs(cmd.Context(), cl, f)
		}
		j, err := cl.job(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		d, err := cl.jobDetails(cmd.Context(), j, all)
		if err != nil {
			return err
		}
		if f.json || f.template != "" {
			return f.print(a.Stdout, []any{d}, nil)
		}
		d.text(a.Stdout, shortForm, evals || verbose, verbose)
		return nil
	}
	return c
}

func (a *app) listJobs(ctx context.Context, cl *client, f *format) error {
	var jobs []*model.JobListStub
	if _, err := cl.get(ctx, "/v1/jobs", nil, &jobs); err != nil {
		return err
	}
	return f.print(a.Stdout, jobs, func(w io.Writer) {
		if len(jobs) == 0 {
			fmt.Fprintln(w, "No running jobs")
			return
		}
		head := []string{"ID", "Type", "Priority", "Status", "Submit Date"}
		if cl.namespace == "*" {
			head = append([]string{"ID", "Namespace"}, head[1:]...)
		}
		rows := [][]string{head}
		for _, j := range jobs {
			kind := j.Type
			if j.Periodic {
				kind += "/periodic"
			}
			if j.ParameterizedJob {
				kind += "/parameterized"
			}
			status := j.Status
			if j.Stop {
				status += " (stopped)"
			}
			row := []string{j.ID, kind, strconv.Itoa(j.Priority), status, stampNS(j.SubmitTime)}
			if cl.namespace == "*" {
				row = append([]string{j.ID, j.Namespace}, row[1:]...)
			}
			rows = append(rows, row)
		}
		printTable(w, rows...)
	})
}

// jobDetails is what job status shows of one job.
type jobDetails struct {
	*model.Job
	Summary          *model.JobSummary
	Allocations      []*model.AllocListStub
	Evaluations      []*model.Evaluation
	LatestDeployment *model.Deployment
}

func (c *client) jobDetails(ctx context.Context, j *model.Job, all bool) (*jobDetails, error) {
	d := &jobDetails{Job: j}
	base, q := "/v1/job/"+seg(j.ID), query{"namespace": j.Namespace}
	if _, err := c.get(ctx, base+"/summary", q, &d.Summary); err != nil {
		return nil, err
	}
	qa := query{"namespace": j.Namespace}
	if all {
		qa["all"] = "true"
	}
	if _, err := c.get(ctx, base+"/allocations", qa, &d.Allocations); err != nil {
		return nil, err
	}
	if _, err := c.get(ctx, base+"/evaluations", q, &d.Evaluations); err != nil {
		return nil, err
	}
	if _, err := c.get(ctx, base+"/deployment", q, &d.LatestDeployment); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *jobDetails) text(w io.Writer, shortForm, evals, verbose bool) {
	j := d.Job
	status := j.Status
	if j.Stop {
		status += " (stopped)"
	}
	printKeys(w,
		[2]string{"ID", j.ID}, [2]string{"Name", j.Name}, [2]string{"Submit Date", stampNS(j.SubmitTime)},
		[2]string{"Type", j.Type}, [2]string{"Priority", strconv.Itoa(j.Priority)},
		[2]string{"Datacenters", strings.Join(j.Datacenters, ",")}, [2]string{"Namespace", j.Namespace},
		[2]string{"Node Pool", j.NodePool}, [2]string{"Status", status},
		[2]string{"Periodic", strconv.FormatBool(j.IsPeriodic())}, [2]string{"Parameterized", strconv.FormatBool(j.IsParameterized())})
	if shortForm {
		return
	}
	if d.Summary != nil {
		section(w, "Summary")
		rows := [][]string{{"Task Group", "Queued", "Starting", "Running", "Failed", "Complete", "Lost", "Unknown"}}
		for _, g := range sortedKeys(d.Summary.Summary) {
			s := d.Summary.Summary[g]
			row := []string{g}
			for _, n := range []int{s.Queued, s.Starting, s.Running, s.Failed, s.Complete, s.Lost, s.Unknown} {
				row = append(row, strconv.Itoa(n))
			}
			rows = append(rows, row)
		}
		printTable(w, rows...)
		if ch := d.Summary.Children; ch != nil {
			section(w, "Children Job Summary")
			printTable(w, []string{"Pending", "Running", "Dead"},
				[]string{fmt.Sprint(ch.Pending), fmt.Sprint(ch.Running), fmt.Sprint(ch.Dead)})
		}
	}
	if evals {
		section(w, "Evaluations")
		printTable(w, evalRows(d.Evaluations, verbose)...)
	}
	if dep := d.LatestDeployment; dep != nil {
		section(w, "Latest Deployment")
		printDeployment(w, dep, verbose)
	}
	for i := len(d.Evaluations) - 1; i >= 0; i-- { // the newest that says why something is not placed
		e := d.Evaluations[i]
		if e.Status != model.EvalBlocked && e.BlockedEval == "" || len(e.FailedTGAllocs) == 0 {
			continue
		}
		section(w, "Placement Failure")
		for _, g := range sortedKeys(e.FailedTGAllocs) {
			m := e.FailedTGAllocs[g]
			fmt.Fprintf(w, "Task Group %q (failed to place %d allocation(s)):\n", g, m.CoalescedFailures+1)
			printMetric(w, m, "  ")
		}
		break
	}
	section(w, "Allocations")
	if len(d.Allocations) == 0 {
		fmt.Fprintln(w, "No allocations placed")
		return
	}
	printTable(w, allocRows(d.Allocations, verbose)...)
}

func allocRows(stubs []*model.AllocListStub, verbose bool) [][]string {
	rows := [][]string{{"ID", "Node ID", "Task Group", "Version", "Desired", "Status", "Created", "Modified"}}
	if verbose {
		rows[0] = []string{"ID", "Eval ID", "Node ID", "Node Name", "Task Group", "Version", "Desired", "Status", "Created", "Modified"}
	}
	for i := len(stubs) - 1; i >= 0; i-- { // newest first
		s := stubs[i]
		tail := []string{s.TaskGroup, fmt.Sprint(s.JobVersion), s.DesiredStatus, s.ClientStatus, ago(s.CreateTime), ago(s.ModifyTime)}
		if verbose {
			rows = append(rows, append([]string{s.ID, s.EvalID, s.NodeID, s.NodeName}, tail...))
			continue
		}
		rows = append(rows, append([]string{short(s.ID, false), short(s.NodeID, false)}, tail...))
	}
	return rows
}

func statusCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "status [id]", Short: "Show whatever an ID names", Args: cobra.MaximumNArgs(1)}
	f := addFormat(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return a.listJobs(cmd.Context(), cl, f)
		}
		var out struct{ Matches map[string][]string }
		if err := cl.put(cmd.Context(), "/v1/search", nil, map[string]string{"Prefix": args[0], "Context": "all"}, &out); err != nil {
			return err
		}
		shows := map[string]func(*app) *cobra.Command{
			"jobs": jobStatus, "allocs": allocStatus, "evals": evalStatus, "nodes": nodeStatus, "deployment": deploymentStatus,
		}
		var found []string
		for _, kind := range sortedKeys(out.Matches) {
			if shows[kind] == nil {
				continue
			}
			for _, id := range out.Matches[kind] {
				if id == args[0] { // an exact name wins
					found = []string{kind}
					break
				}
				found = append(found, kind)
			}
		}
		switch len(found) {
		case 0:
			return fmt.Errorf("nothing found whose ID starts with %q", args[0])
		case 1:
			show := shows[found[0]](a)
			show.SetContext(cmd.Context())
			if f.json {
				show.Flags().Set("json", "true")
			}
			if f.template != "" {
				show.Flags().Set("t", f.template)
			}
			return show.RunE(show, args)
		}
		return fmt.Errorf("%q matches several objects: %v", args[0], out.Matches)
	}
	return c
}
