package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/model"
)

func deploymentCommands(a *app) []*cobra.Command {
	return []*cobra.Command{parent("deployment", "Look at and steer roll-outs",
		deploymentList(a), deploymentStatus(a), deploymentPromote(a),
		deploymentAct(a, "fail", "Give a roll-out up", "fail", nil),
		deploymentAct(a, "pause", "Halt a roll-out", "pause", map[string]any{"Pause": true}),
		deploymentAct(a, "resume", "Go on with a halted roll-out", "pause", map[string]any{"Pause": false}))}
}

func printDeployment(w io.Writer, d *model.Deployment, verbose bool) {
	printKeys(w, [2]string{"ID", short(d.ID, verbose)}, [2]string{"Status", d.Status}, [2]string{"Description", d.StatusDescription})
	fmt.Fprintln(w, "\nDeployed")
	rows := [][]string{{"Task Group", "Auto Revert", "Promoted", "Desired", "Canaries", "Placed", "Healthy", "Unhealthy", "Progress Deadline"}}
	for _, name := range sortedKeys(d.TaskGroups) {
		g := d.TaskGroups[name]
		promoted := "N/A"
		if g.DesiredCanaries > 0 {
			promoted = strconv.FormatBool(g.Promoted)
		}
		rows = append(rows, []string{name, strconv.FormatBool(g.AutoRevert), promoted, strconv.Itoa(g.DesiredTotal), strconv.Itoa(g.DesiredCanaries),
			strconv.Itoa(g.PlacedAllocs), strconv.Itoa(g.HealthyAllocs), strconv.Itoa(g.UnhealthyAllocs), stamp(g.RequireProgressBy)})
	}
	printTable(w, rows...)
}

func deploymentRows(ds []*model.Deployment, verbose bool) [][]string {
	rows := [][]string{{"ID", "Job ID", "Job Version", "Status", "Description"}}
	for i := len(ds) - 1; i >= 0; i-- {
		d := ds[i]
		rows = append(rows, []string{short(d.ID, verbose), d.JobID, fmt.Sprint(d.JobVersion), d.Status, d.StatusDescription})
	}
	return rows
}

func (a *app) printDeployments(f *format, ds []*model.Deployment, verbose bool) error {
	return f.print(a.Stdout, ds, func(w io.Writer) {
		if len(ds) == 0 {
			fmt.Fprintln(w, "No deployments found")
			return
		}
		printTable(w, deploymentRows(ds, verbose)...)
	})
}

func deploymentList(a *app) *cobra.Command {
	var filter string
	var verbose bool
	c := &cobra.Command{Use: "list", Short: "List roll-outs", Args: cobra.NoArgs}
	f := addFormat(c)
	c.Flags().StringVar(&filter, "filter", "", "only those an expression holds for")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var ds []*model.Deployment
		if _, err := cl.get(cmd.Context(), "/v1/deployments", query{"filter": filter}, &ds); err != nil {
			return err
		}
		return a.printDeployments(f, ds, verbose)
	}
	return c
}

func jobDeployments(a *app) *cobra.Command {
	var latest, all, verbose bool
	c := &cobra.Command{Use: "deployments <job>", Short: "List a job's roll-outs", Args: cobra.ExactArgs(1)}
	f := addFormat(c)
	c.Flags().BoolVar(&latest, "latest", false, "only the newest")
	c.Flags().BoolVar(&all, "all", false, "those of purged jobs of that name too")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, j, err := a.jobNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		var ds []*model.Deployment
		if _, err := cl.get(cmd.Context(), "/v1/job/"+seg(j.ID)+"/deployments", query{"namespace": j.Namespace, "all": strconv.FormatBool(all)}, &ds); err != nil {
			return err
		}
		if latest && len(ds) > 1 {
			ds = ds[len(ds)-1:]
		}
		return a.printDeployments(f, ds, verbose)
	}
	return c
}

func (c *client) deployment(ctx context.Context, prefix string) (*model.Deployment, error) {
	id, err := c.resolve(ctx, "deployment", "deployment", prefix)
	if err != nil {
		return nil, err
	}
	var d model.Deployment
	_, err = c.get(ctx, "/v1/deployment/"+seg(id), nil, &d)
	return &d, err
}

func deploymentStatus(a *app) *cobra.Command {
	var monitor, verbose bool
	c := &cobra.Command{Use: "status <deployment>", Short: "Show a roll-out", Args: cobra.ExactArgs(1)}
	f := addFormat(c)
	c.Flags().BoolVar(&monitor, "monitor", false, "watch until it ends")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		d, err := cl.deployment(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if monitor {
			return a.followDeployment(cmd.Context(), cl, d.ID, verbose)
		}
		return f.print(a.Stdout, d, func(w io.Writer) {
			printKeys(w, [2]string{"Job ID", d.JobID}, [2]string{"Job Version", fmt.Sprint(d.JobVersion)})
			printDeployment(w, d, verbose)
		})
	}
	return c
}

func deploymentAct(a *app, name, help, route string, body map[string]any) *cobra.Command {
	var w watching
	c := &cobra.Command{Use: name + " <deployment>", Short: help, Args: cobra.ExactArgs(1)}
	w.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		d, err := cl.deployment(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		b := map[string]any{"DeploymentID": d.ID}
		for k, v := range body {
			b[k] = v
		}
		var resp struct {
			registered
			RevertedJobVersion *uint64
		}
		if err := cl.put(cmd.Context(), "/v1/deployment/"+route+"/"+seg(d.ID), nil, b, &resp); err != nil {
			return err
		}
		switch {
		case name == "pause":
			fmt.Fprintf(a.Stdout, "Deployment %q is paused\n", short(d.ID, w.verbose))
			return nil
		case name == "fail" && resp.RevertedJobVersion == nil:
			fmt.Fprintf(a.Stdout, "Deployment %q is marked as failed\n", short(d.ID, w.verbose))
			return nil
		}
		return w.follow(cmd.Context(), a, cl, resp.EvalID)
	}
	return c
}

func (a *app) promote(ctx context.Context, cl *client, id string, groups []string, w *watching) error {
	var resp registered
	if err := cl.put(ctx, "/v1/deployment/promote/"+seg(id), nil,
		map[string]any{"DeploymentID": id, "All": len(groups) == 0, "Groups": groups}, &resp); err != nil {
		return err
	}
	return w.follow(ctx, a, cl, resp.EvalID)
}

func deploymentPromote(a *app) *cobra.Command {
	var w watching
	var groups []string
	c := &cobra.Command{Use: "promote <deployment>", Short: "Replace the old version where canaries are healthy", Args: cobra.ExactArgs(1)}
	w.add(c)
	c.Flags().StringArrayVar(&groups, "group", nil, "only this group (repeatable)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		d, err := cl.deployment(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return a.promote(cmd.Context(), cl, d.ID, groups, &w)
	}
	return c
}

func jobPromote(a *app) *cobra.Command {
	var w watching
	var groups []string
	c := &cobra.Command{Use: "promote <job>", Short: "Promote the newest roll-out's canaries", Args: cobra.ExactArgs(1)}
	w.add(c)
	c.Flags().StringArrayVar(&groups, "group", nil, "only this group (repeatable)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, j, err := a.jobNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		var d *model.Deployment
		if _, err := cl.get(cmd.Context(), "/v1/job/"+seg(j.ID)+"/deployment", query{"namespace": j.Namespace}, &d); err != nil {
			return err
		}
		if d == nil {
			return fmt.Errorf("job %q has no deployment to promote", j.ID)
		}
		return a.promote(cmd.Context(), cl, d.ID, groups, &w)
	}
	return c
}
