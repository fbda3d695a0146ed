package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/model"
)

// watching are the flags of commands that cause an evaluation.
type watching struct{ detach, verbose bool }

func (f *watching) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.detach, "detach", false, "return at once instead of watching")
	c.Flags().BoolVar(&f.verbose, "verbose", false, "full IDs")
}

func (f *watching) follow(ctx context.Context, a *app, cl *client, evalID string) error {
	if evalID == "" {
		return nil
	}
	if f.detach {
		fmt.Fprintf(a.Stdout, "Evaluation ID: %s\n", evalID)
		return nil
	}
	return a.monitor(ctx, cl, evalID, f.verbose)
}

func jobStop(a *app) *cobra.Command {
	var w watching
	var purge, yes, noDelay, global bool
	var priority int
	c := &cobra.Command{Use: "stop <job>...", Short: "Stop jobs", Args: cobra.MinimumNArgs(1)}
	w.add(c)
	c.Flags().BoolVar(&purge, "purge", false, "forget the job too")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&global, "global", false, "in all regions")
	c.Flags().BoolVar(&noDelay, "no-shutdown-delay", false, "skip shutdown delays")
	c.Flags().IntVar(&priority, "eval-priority", 0, "priority of the evaluation")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var errs []error
		for _, id := range args {
			j, err := cl.job(cmd.Context(), id)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if j.ID != id && !yes {
				errs = append(errs, fmt.Errorf("no job %q; did you mean %q? Give the whole name, or -yes", id, j.ID))
				continue
			}
			q := query{"namespace": j.Namespace, "purge": strconv.FormatBool(purge), "no_shutdown_delay": strconv.FormatBool(noDelay)}
			if priority > 0 {
				q["eval_priority"] = strconv.Itoa(priority)
			}
			var resp registered
			if err := cl.delete(cmd.Context(), "/v1/job/"+seg(j.ID), q, &resp); err != nil {
				errs = append(errs, fmt.Errorf("stop job %q: %w", j.ID, err))
				continue
			}
			if err := w.follow(cmd.Context(), a, cl, resp.EvalID); err != nil {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
	return c
}

func jobStart(a *app) *cobra.Command {
	var w watching
	c := &cobra.Command{Use: "start <job>", Short: "Start a stopped job again", Args: cobra.ExactArgs(1)}
	w.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, j, err := a.jobNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if !j.Stop {
			return fmt.Errorf("job %q is not stopped", j.ID)
		}
		j.Stop = false
		var resp registered
		if err := cl.put(cmd.Context(), "/v1/jobs", query{"namespace": j.Namespace}, map[string]any{"Job": j}, &resp); err != nil {
			return err
		}
		return w.follow(cmd.Context(), a, cl, resp.EvalID)
	}
	return c
}

func jobInspect(a *app) *cobra.Command {
	var version string
	var asHCL, asJSON bool
	f := &format{}
	c := &cobra.Command{Use: "inspect <job>", Short: "Print a job as the servers know it", Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&version, "version", "", "this version instead of the newest")
	c.Flags().BoolVar(&asHCL, "hcl", false, "print the source it was made from")
	c.Flags().BoolVar(&asJSON, "json", true, "print the API's JSON")
	c.Flags().StringVar(&f.template, "t", "", "print by a Go template over the API's object")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, j, err := a.jobNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if version != "" {
			if j, err = cl.version(cmd.Context(), j, version); err != nil {
				return err
			}
		}
		if asHCL {
			var sub model.JobSubmission
			if _, err := cl.get(cmd.Context(), "/v1/job/"+seg(j.ID)+"/submission", query{"namespace": j.Namespace, "version": fmt.Sprint(j.Version)}, &sub); err != nil {
				return err
			}
			fmt.Fprintln(a.Stdout, strings.TrimRight(sub.Source, "\n"))
			return nil
		}
		if f.template != "" {
			return f.print(a.Stdout, j, nil)
		}
		return printJSON(a.Stdout, map[string]any{"Job": j})
	}
	return c
}

func (c *client) versions(ctx context.Context, j *model.Job, diffs bool) (versions []*model.Job, ds []*model.JobDiff, err error) {
	var out struct {
		Versions []*model.Job
		Diffs    []*model.JobDiff
	}
	_, err = c.get(ctx, "/v1/job/"+seg(j.ID)+"/versions", query{"namespace": j.Namespace, "diffs": strconv.FormatBool(diffs)}, &out)
	return out.Versions, out.Diffs, err
}

// version finds a version by its number or tag.
func (c *client) version(ctx context.Context, j *model.Job, which string) (*model.Job, error) {
	versions, _, err := c.versions(ctx, j, false)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if fmt.Sprint(v.Version) == which || v.VersionTag != nil && v.VersionTag.Name == which {
			return v, nil
		}
	}
	return nil, fmt.Errorf("job %q has no version %q", j.ID, which)
}

func jobHistory(a *app) *cobra.Command {
	var diffs, full bool
	var version string
	c := &cobra.Command{Use: "history <job>", Short: "List a job's versions", Args: cobra.ExactArgs(1)}
	f := addFormat(c)
	c.Flags().BoolVar(&diffs, "p", false, "show what each version changed")
	c.Flags().BoolVar(&full, "full", false, "print each version as JSON")
	c.Flags().StringVar(&version, "version", "", "only this version")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, j, err := a.jobNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		versions, ds, err := cl.versions(cmd.Context(), j, diffs)
		if err != nil {
			return err
		}
		return f.print(a.Stdout, versions, func(w io.Writer) {
			for i, v := range versions {
				if version != "" && fmt.Sprint(v.Version) != version {
					continue
				}
				if full {
					printJSON(w, v)
					continue
				}
				tag := [2]string{}
				if v.VersionTag != nil {
					tag = [2]string{"Tag Name", v.VersionTag.Name}
				}
				printKeys(w, [2]string{"Version", fmt.Sprint(v.Version)}, [2]string{"Stable", strconv.FormatBool(v.Stable)},
					[2]string{"Submit Date", stampNS(v.SubmitTime)}, tag)
				if diffs && i < len(ds) {
					printDiff(w, ds[i], false)
				}
				fmt.Fprintln(w)
			}
		})
	}
	return c
}

func jobRevert(a *app) *cobra.Command {
	var w watching
	c := &cobra.Command{Use: "revert <job> <version|tag>", Short: "Go back to an earlier version", Args: cobra.ExactArgs(2)}
	w.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, j, err := a.jobNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		v, err := cl.version(cmd.Context(), j, args[1])
		if err != nil {
			return err
		}
		var resp registered
		if err := cl.put(cmd.Context(), "/v1/job/"+seg(j.ID)+"/revert", query{"namespace": j.Namespace},
			map[string]any{"JobID": j.ID, "JobVersion": v.Version}, &resp); err != nil {
			return err
		}
		return w.follow(cmd.Context(), a, cl, resp.EvalID)
	}
	return c
}

func jobEval(a *app) *cobra.Command {
	var w watching
	var force bool
	c := &cobra.Command{Use: "eval <job>", Short: "Have the scheduler look at a job again", Args: cobra.ExactArgs(1)}
	w.add(c)
	c.Flags().BoolVar(&force, "force-reschedule", false, "replace failed instances even if their policy says no")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, j, err := a.jobNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		var resp registered
		if err := cl.put(cmd.Context(), "/v1/job/"+seg(j.ID)+"/evaluate", query{"namespace": j.Namespace},
			map[string]any{"JobID": j.ID, "EvalOptions": map[string]bool{"ForceReschedule": force}}, &resp); err != nil {
			return err
		}
		return w.follow(cmd.Context(), a, cl, resp.EvalID)
	}
	return c
}

func jobDispatch(a *app) *cobra.Command {
	var w watching
	var meta []string
	var token, prefix string
	var priority int
	c := &cobra.Command{Use: "dispatch <job> [file]", Short: "Launch an instance of a parameterized job", Args: cobra.RangeArgs(1, 2)}
	w.add(c)
	c.Flags().StringArrayVar(&meta, "meta", nil, "key=value (repeatable)")
	c.Flags().StringVar(&token, "idempotency-token", "", "launch only once for this token")
	c.Flags().StringVar(&prefix, "id-prefix-template", "", "prefix of the new job's ID")
	c.Flags().IntVar(&priority, "priority", 0, "priority of the new job")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, j, err := a.jobNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		body := map[string]any{"Meta": map[string]string{}, "IdPrefixTemplate": prefix, "Priority": priority}
		for _, m := range meta {
			k, v, ok := strings.Cut(m, "=")
			if !ok {
				return fmt.Errorf("-meta wants key=value, got %q", m)
			}
			body["Meta"].(map[string]string)[k] = v
		}
		if len(args) == 2 {
			b, _, err := a.source(args[1])
			if err != nil {
				return err
			}
			body["Payload"] = base64.StdEncoding.EncodeToString(b)
		}
		var resp struct{ DispatchedJobID, EvalID string }
		if err := cl.put(cmd.Context(), "/v1/job/"+seg(j.ID)+"/dispatch", query{"namespace": j.Namespace, "idempotency_token": token}, body, &resp); err != nil {
			return err
		}
		printKeys(a.Stdout, [2]string{"Dispatched Job ID", resp.DispatchedJobID}, [2]string{"Evaluation ID", resp.EvalID})
		if w.detach {
			return nil
		}
		return w.follow(cmd.Context(), a, cl, resp.EvalID)
	}
	return c
}

func jobPeriodicForce(a *app) *cobra.Command {
	var w watching
	c := &cobra.Command{Use: "force <job>", Short: "Launch a periodic job now", Args: cobra.ExactArgs(1)}
	w.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, j, err := a.jobNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		var resp registered
		if err := cl.put(cmd.Context(), "/v1/job/"+seg(j.ID)+"/periodic/force", query{"namespace": j.Namespace}, nil, &resp); err != nil {
			return err
		}
		return w.follow(cmd.Context(), a, cl, resp.EvalID)
	}
	return c
}

func jobScale(a *app) *cobra.Command {
	var w watching
	var checkIndex uint64
	c := &cobra.Command{Use: "scale <job> [group] <count>", Short: "Change a group's count", Args: cobra.RangeArgs(2, 3)}
	w.add(c)
	c.Flags().Uint64Var(&checkIndex, "check-index", 0, "only if the job's modify index is this one")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, j, err := a.jobNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		group := ""
		switch {
		case len(args) == 3:
			group = args[1]
		case len(j.TaskGroups) == 1:
			group = j.TaskGroups[0].Name
		default:
			return fmt.Errorf("job %q has %d groups: name one", j.ID, len(j.TaskGroups))
		}
		count, err := strconv.ParseInt(args[len(args)-1], 10, 64)
		if err != nil {
			return fmt.Errorf("count must be a number, got %q", args[len(args)-1])
		}
		body := map[string]any{"Count": count, "Target": map[string]string{"Group": group}, "Message": "submitted using the command line"}
		if checkIndex > 0 {
			body["EnforceIndex"], body["JobModifyIndex"] = true, checkIndex
		}
		var resp registered
		if err := cl.put(cmd.Context(), "/v1/job/"+seg(j.ID)+"/scale", query{"namespace": j.Namespace}, body, &resp); err != nil {
			return err
		}
		return w.follow(cmd.Context(), a, cl, resp.EvalID)
	}
	return c
}

func jobRestart(a *app) *cobra.Command {
	var groups, tasks []string
	var all, verbose bool
	c := &cobra.Command{Use: "restart <job>", Short: "Restart a job's instances one after the other", Args: cobra.ExactArgs(1)}
	c.Flags().StringArrayVar(&groups, "group", nil, "only this group (repeatable)")
	c.Flags().StringArrayVar(&tasks, "task", nil, "only this task (repeatable)")
	c.Flags().BoolVar(&all, "all-tasks", false, "prestart tasks too")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, j, err := a.jobNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		var stubs []*model.AllocListStub
		if _, err := cl.get(cmd.Context(), "/v1/job/"+seg(j.ID)+"/allocations", query{"namespace": j.Namespace}, &stubs); err != nil {
			return err
		}
		done := 0
		for _, s := range stubs {
			if s.ClientStatus != model.AllocClientRunning || len(groups) > 0 && !contains(groups, s.TaskGroup) {
				continue
			}
			names := tasks
			if len(names) == 0 {
				names = []string{""}
			}
			for _, t := range names {
				fmt.Fprintf(a.Stdout, "Restarting allocation %q (%s)\n", short(s.ID, verbose), s.Name)
				if err := cl.put(cmd.Context(), "/v1/client/allocation/"+seg(s.ID)+"/restart", nil, map[string]any{"TaskName": t, "AllTasks": all}, nil); err != nil {
					return fmt.Errorf("restart allocation %s: %w", s.ID, err)
				}
			}
			done++
		}
		if done == 0 {
			return errors.New("no running allocation to restart")
		}
		fmt.Fprintf(a.Stdout, "%d allocation(s) restarted\n", done)
		return nil
	}
	return c
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

func jobAllocs(a *app) *cobra.Command {
	var all, verbose bool
	c := &cobra.Command{Use: "allocs <job>", Short: "List a job's allocations", Args: cobra.ExactArgs(1)}
	f := addFormat(c)
	c.Flags().BoolVar(&all, "all", false, "those of purged jobs of that name too")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs and more columns")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, j, err := a.jobNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		var stubs []*model.AllocListStub
		if _, err := cl.get(cmd.Context(), "/v1/job/"+seg(j.ID)+"/allocations", query{"namespace": j.Namespace, "all": strconv.FormatBool(all)}, &stubs); err != nil {
			return err
		}
		return f.print(a.Stdout, stubs, func(w io.Writer) {
			if len(stubs) == 0 {
				fmt.Fprintln(w, "No allocations placed")
				return
			}
			printTable(w, allocRows(stubs, verbose)...)
		})
	}
	return c
}

func jobTagApply(a *app) *cobra.Command {
	var name, version, description string
	c := &cobra.Command{Use: "apply <job>", Short: "Name a version so that it is kept", Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&name, "name", "", "the tag (required)")
	c.Flags().StringVar(&version, "version", "", "version; the newest when absent")
	c.Flags().StringVar(&description, "description", "", "what it is")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if name == "" {
			return errors.New("-name is required")
		}
		cl, err := a.api()
		if err != nil {
			return err
		}
		body := map[string]any{"Description": description}
		if version != "" {
			body["Version"] = json.Number(version)
		}
		if err := cl.put(cmd.Context(), "/v1/job/"+seg(args[0])+"/versions/"+seg(name)+"/tag", nil, body, nil); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "Job %q tagged %q\n", args[0], name)
		return nil
	}
	return c
}

func jobTagUnset(a *app) *cobra.Command {
	var name string
	c := &cobra.Command{Use: "unset <job>", Short: "Remove a version's name", Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&name, "name", "", "the tag (required)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if name == "" {
			return errors.New("-name is required")
		}
		cl, err := a.api()
		if err != nil {
			return err
		}
		if err := cl.delete(cmd.Context(), "/v1/job/"+seg(args[0])+"/versions/"+seg(name)+"/tag", nil, nil); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "Tag %q of job %q removed\n", name, args[0])
		return nil
	}
	return c
}
