package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/model"
)

func scalingCommands(a *app) []*cobra.Command {
	return []*cobra.Command{parent("scaling", "Look at scaling policies",
		parent("policy", "Look at scaling policies", scalingPolicyList(a), scalingPolicyInfo(a)))}
}

func scalingTarget(p *model.Scaling) string {
	var parts []string
	for _, k := range []string{"Namespace", "Job", "Group"} {
		if v := p.Target[k]; v != "" {
			parts = append(parts, k+":"+v)
		}
	}
	return strings.Join(parts, ",")
}

func scalingPolicyList(a *app) *cobra.Command {
	var verbose bool
	var kind, job string
	c := &cobra.Command{Use: "list", Short: "List scaling policies", Args: cobra.NoArgs}
	f := addFormat(c)
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.Flags().StringVar(&kind, "type", "", "only policies of this type")
	c.Flags().StringVar(&job, "job", "", "only those of this job")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var ps []*model.Scaling
		if _, err := cl.get(cmd.Context(), "/v1/scaling/policies", query{"type": kind, "job": job}, &ps); err != nil {
			return err
		}
		return f.print(a.Stdout, ps, func(w io.Writer) {
			if len(ps) == 0 {
				fmt.Fprintln(w, "No policies found")
				return
			}
			rows := [][]string{{"ID", "Enabled", "Type", "Target"}}
			for _, p := range ps {
				rows = append(rows, []string{short(p.ID, verbose), strconv.FormatBool(p.Enabled), p.Type, scalingTarget(p)})
			}
			printTable(w, rows...)
		})
	}
	return c
}

func scalingPolicyInfo(a *app) *cobra.Command {
	var verbose bool
	c := &cobra.Command{Use: "info <policy>", Short: "Show a scaling policy", Args: cobra.ExactArgs(1)}
	f := addFormat(c)
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var found []*model.Scaling
		if _, err := cl.get(cmd.Context(), "/v1/scaling/policies", query{"namespace": "*", "prefix": args[0]}, &found); err != nil {
			return err
		}
		if len(found) != 1 {
			return fmt.Errorf("%d scaling policies have an ID that begins with %q", len(found), args[0])
		}
		var p model.Scaling
		if _, err := cl.get(cmd.Context(), "/v1/scaling/policy/"+seg(found[0].ID), nil, &p); err != nil {
			return err
		}
		return f.print(a.Stdout, p, func(w io.Writer) {
			printKeys(w, [2]string{"ID", short(p.ID, verbose)}, [2]string{"Enabled", strconv.FormatBool(p.Enabled)}, [2]string{"Type", p.Type},
				[2]string{"Target", scalingTarget(&p)}, [2]string{"Min", fmt.Sprint(p.Min)}, [2]string{"Max", fmt.Sprint(p.Max)})
			if len(p.Policy) > 0 {
				section(w, "Policy")
				printJSON(w, p.Policy)
			}
		})
	}
	return c
}

// scalingEvent is an event and the group it happened to.
type scalingEvent struct {
	Group string
	*model.ScalingEvent
}

func jobScalingEvents(a *app) *cobra.Command {
	var verbose bool
	c := &cobra.Command{Use: "scaling-events <job>", Short: "List how a job was scaled", Args: cobra.ExactArgs(1)}
	f := addFormat(c)
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, j, err := a.jobNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		var status struct {
			TaskGroups map[string]struct{ Events []*model.ScalingEvent }
		}
		if _, err := cl.get(cmd.Context(), "/v1/job/"+seg(j.ID)+"/scale", query{"namespace": j.Namespace}, &status); err != nil {
			return err
		}
		events := []scalingEvent{}
		for _, name := range sortedKeys(status.TaskGroups) {
			for _, e := range status.TaskGroups[name].Events {
				events = append(events, scalingEvent{name, e})
			}
		}
		slices.SortStableFunc(events, func(a, b scalingEvent) int { return cmp.Compare(b.Time, a.Time) })
		return f.print(a.Stdout, events, func(w io.Writer) {
			if len(events) == 0 {
				fmt.Fprintln(w, "No events found")
				return
			}
			rows := [][]string{{"Time", "Task Group", "Count", "Previous Count", "Error", "Evaluation", "Message"}}
			for _, e := range events {
				count, eval := "", ""
				if e.Count != nil {
					count = fmt.Sprint(*e.Count)
				}
				if e.EvalID != nil {
					eval = short(*e.EvalID, verbose)
				}
				rows = append(rows, []string{stampNS(e.Time), e.Group, count, fmt.Sprint(e.PreviousCount), strconv.FormatBool(e.Error), eval, e.Message})
			}
			printTable(w, rows...)
		})
	}
	return c
}
