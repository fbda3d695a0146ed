package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// jobAction runs a command that the job file names (an action block), or lists those that there are.
func jobAction(a *app) *cobra.Command {
	var flags sessionFlags
	var job, group, task, alloc string
	c := &cobra.Command{Use: "action [action]", Short: "Run an action of a job, or list its actions", Args: cobra.MaximumNArgs(1),
		Long: "Runs the command of an action block in a running task and ends with its exit code. Without an action it lists the job's."}
	list := &format{}
	c.Flags().BoolVar(&list.json, "json", false, "print the list as the API's JSON")
	flags.add(c)
	c.Flags().StringVar(&job, "job", "", "the job (required)")
	c.Flags().StringVar(&group, "group", "", "only in this group")
	c.Flags().StringVar(&task, "task", "", "only in this task")
	c.Flags().StringVar(&alloc, "allocation", "", "in this allocation; the oldest that runs otherwise")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if job == "" {
			return errors.New("-job is required: which job's action?")
		}
		cl, j, err := a.jobNamed(cmd.Context(), job)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return a.listActions(cmd, list, cl, j.ID, j.Namespace)
		}
		q := query{"namespace": j.Namespace, "action": args[0], "group": group, "task": task}
		if alloc != "" {
			if q["allocID"], err = cl.resolve(cmd.Context(), "allocs", "allocation", alloc); err != nil {
				return err
			}
		}
		return flags.run(cmd.Context(), &execSession{app: a, client: cl, path: "/v1/job/" + seg(j.ID) + "/action", query: q})
	}
	return c
}

func (a *app) listActions(cmd *cobra.Command, f *format, cl *client, id, namespace string) error {
	var actions []struct {
		Name          string
		Command       string
		Args          []string
		TaskName      string
		TaskGroupName string
	}
	if _, err := cl.get(cmd.Context(), "/v1/job/"+seg(id)+"/actions", query{"namespace": namespace}, &actions); err != nil {
		return err
	}
	return f.print(a.Stdout, actions, func(w io.Writer) {
		if len(actions) == 0 {
			fmt.Fprintf(w, "Job %q has no actions\n", id)
			return
		}
		rows := [][]string{{"Action", "Group", "Task", "Command"}}
		for _, ac := range actions {
			rows = append(rows, []string{ac.Name, ac.TaskGroupName, ac.TaskName, strings.Join(append([]string{ac.Command}, ac.Args...), " ")})
		}
		printTable(w, rows...)
	})
}
