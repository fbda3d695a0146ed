package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/scheduler/explain"
)

func allocCommands(a *app) []*cobra.Command {
	return []*cobra.Command{parent("alloc", "Look into and act on allocations",
		allocStatus(a), allocLogs(a), allocExec(a), allocFS(a), allocRestart(a), allocSignal(a), allocStop(a), allocChecks(a))}
}

func allocStatus(a *app) *cobra.Command {
	var shortForm, stats, verbose bool
	c := &cobra.Command{Use: "status <alloc>", Short: "Show an allocation", Args: cobra.ExactArgs(1)}
	f := addFormat(c)
	c.Flags().BoolVar(&shortForm, "short", false, "without events")
	c.Flags().BoolVar(&stats, "stats", false, "show use of resources in detail")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs and placement scores")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, al, err := a.allocNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		var use *rpc.AllocStatsResponse
		if al.ClientStatus == model.AllocClientRunning && !f.json && f.template == "" {
			if _, err := cl.get(cmd.Context(), "/v1/client/allocation/"+seg(al.ID)+"/stats", nil, &use); err != nil {
				fmt.Fprintln(a.Stderr, "No statistics:", err)
			}
		}
		return f.print(a.Stdout, al, func(w io.Writer) { allocText(w, al, use, shortForm, stats, verbose) })
	}
	return c
}

func allocText(w io.Writer, al *model.Allocation, use *rpc.AllocStatsResponse, shortForm, stats, verbose bool) {
	pairs := [][2]string{
		{"ID", al.ID}, {"Eval ID", short(al.EvalID, verbose)}, {"Name", al.Name}, {"Node ID", short(al.NodeID, verbose)},
		{"Node Name", al.NodeName}, {"Job ID", al.JobID}, {"Job Version", fmt.Sprint(al.JobVersion)},
		{"Client Status", al.ClientStatus}, {"Client Description", first(al.ClientDescription, "<none>")},
		{"Desired Status", al.DesiredStatus}, {"Desired Description", first(al.DesiredDescription, "<none>")},
		{"Created", ago(al.CreateTime)}, {"Modified", ago(al.ModifyTime)},
	}
	if al.DeploymentID != "" {
		health := "unset"
		if d := al.DeploymentStatus; d != nil && d.Healthy != nil {
			health = map[bool]string{true: "healthy", false: "unhealthy"}[*d.Healthy]
		}
		pairs = append(pairs, [2]string{"Deployment ID", short(al.DeploymentID, verbose)}, [2]string{"Deployment Health", health})
		if d := al.DeploymentStatus; d != nil && d.Canary {
			pairs = append(pairs, [2]string{"Canary", "true"})
		}
	}
	if t := al.RescheduleTracker; t != nil && len(t.Events) > 0 {
		pairs = append(pairs, [2]string{"Reschedule Attempts", strconv.Itoa(len(t.Events))})
	}
	if al.NextAllocation != "" {
		pairs = append(pairs, [2]string{"Replacement Alloc ID", short(al.NextAllocation, verbose)})
	}
	printKeys(w, pairs...)
	if r := al.AllocatedResources; r != nil && len(r.Shared.Ports) > 0 {
		section(w, "Allocation Addresses:")
		rows := [][]string{{"Label", "Dynamic", "Address"}}
		for _, p := range r.Shared.Ports {
			addr := fmt.Sprintf("%s:%d", p.HostIP, p.Value)
			if p.To > 0 && p.To != p.Value {
				addr += fmt.Sprintf(" -> %d", p.To)
			}
			rows = append(rows, []string{"*" + p.Label, dynamic(al, p.Label), addr})
		}
		printTable(w, rows...)
	}
	for _, name := range sortedKeys(al.TaskStates) {
		taskText(w, al, name, use, shortForm, stats)
	}
	if verbose && al.Metrics != nil {
		section(w, "Placement Metrics")
		for _, line := range explain.Placement(al.Metrics) {
			fmt.Fprintf(w, "  * %s\n", line)
		}
		printScores(w, al.Metrics)
	}
}

// dynamic tells whether the port was chosen by the scheduler.
func dynamic(al *model.Allocation, label string) string {
	if al.Job == nil {
		return "?"
	}
	if g := al.Job.Group(al.TaskGroup); g != nil {
		for _, n := range g.Networks {
			for _, p := range n.ReservedPorts {
				if p.Label == label {
					return "no"
				}
			}
		}
	}
	return "yes"
}

func taskText(w io.Writer, al *model.Allocation, name string, use *rpc.AllocStatsResponse, shortForm, stats bool) {
	st := al.TaskStates[name]
	section(w, fmt.Sprintf("Task %q is %q", name, st.State))
	if r := al.AllocatedResources; r != nil && r.Tasks[name] != nil {
		t := r.Tasks[name]
		cpu, mem := fmt.Sprintf("%d MHz", t.Cpu.CpuShares), fmt.Sprintf("%d MiB", t.Memory.MemoryMB)
		if use != nil && use.Tasks[name] != nil && use.Tasks[name].ResourceUsage != nil {
			ru := use.Tasks[name].ResourceUsage
			if ru.CpuStats != nil {
				cpu = fmt.Sprintf("%.0f/%s", ru.CpuStats.TotalTicks, cpu)
			}
			if ru.MemoryStats != nil {
				mem = fmt.Sprintf("%s/%s", byteSize(max(ru.MemoryStats.RSS, ru.MemoryStats.Usage)), mem)
			}
		}
		fmt.Fprintln(w, "Task Resources:")
		printTable(w, []string{"CPU", "Memory", "Disk"}, []string{cpu, mem, fmt.Sprintf("%d MiB", r.Shared.DiskMB)})
		if cores := t.Cpu.ReservedCores; len(cores) > 0 {
			printKeys(w, [2]string{"Cores", taskenv.Ranges(cores)})
		}
		var ru *rpc.ResourceUsage
		if use != nil && use.Tasks[name] != nil {
			ru = use.Tasks[name].ResourceUsage
		}
		taskDevices(w, t, ru)
	}
	if stats && use != nil && use.Tasks[name] != nil && use.Tasks[name].ResourceUsage != nil {
		if c := use.Tasks[name].ResourceUsage.CpuStats; c != nil {
			fmt.Fprintln(w, "\nCPU Stats:")
			printTable(w, []string{"Percent", "User", "System", "Throttled Periods", "Throttled Time"},
				[]string{fmt.Sprintf("%.2f%%", c.Percent), fmt.Sprintf("%.2f%%", c.UserMode), fmt.Sprintf("%.2f%%", c.SystemMode), fmt.Sprint(c.ThrottledPeriods), fmt.Sprint(c.ThrottledTime)})
		}
		if m := use.Tasks[name].ResourceUsage.MemoryStats; m != nil {
			fmt.Fprintln(w, "\nMemory Stats:")
			printTable(w, []string{"RSS", "Cache", "Swap", "Usage", "Max Usage"},
				[]string{byteSize(m.RSS), byteSize(m.Cache), byteSize(m.Swap), byteSize(m.Usage), byteSize(m.MaxUsage)})
		}
	}
	if shortForm {
		return
	}
	fmt.Fprintln(w, "\nTask Events:")
	printKeys(w, [2]string{"Started At", stamp(st.StartedAt)}, [2]string{"Finished At", stamp(st.FinishedAt)},
		[2]string{"Total Restarts", fmt.Sprint(st.Restarts)}, [2]string{"Last Restart", stamp(st.LastRestart)})
	fmt.Fprintln(w, "\nRecent Events:")
	rows := [][]string{{"Time", "Type", "Description"}}
	for i := len(st.Events) - 1; i >= 0; i-- {
		e := st.Events[i]
		rows = append(rows, []string{stampNS(e.Time), e.Type, strings.ReplaceAll(first(e.DisplayMessage, e.Message), "\n", " ")})
	}
	printTable(w, rows...)
}

func printScores(w io.Writer, m *model.AllocMetric) {
	names := map[string]bool{}
	for _, s := range m.ScoreMetaData {
		for k := range s.Scores {
			names[k] = true
		}
	}
	head := append([]string{"Node"}, sortedKeys(names)...)
	rows := [][]string{append(head, "final score")}
	for _, s := range m.ScoreMetaData {
		row := []string{s.NodeID}
		for _, k := range sortedKeys(names) {
			row = append(row, fmt.Sprintf("%.3g", s.Scores[k]))
		}
		rows = append(rows, append(row, fmt.Sprintf("%.3g", s.NormScore)))
	}
	if len(rows) > 1 {
		printTable(w, rows...)
	}
}

// chosen is an allocation and one of its tasks, as the arguments name them.
type chosen struct {
	job   bool
	group string
	task  string
}

func (f *chosen) add(c *cobra.Command, withGroup bool) {
	c.Flags().StringVar(&f.task, "task", "", "the task")
	if withGroup {
		c.Flags().BoolVar(&f.job, "job", false, "the argument is a job: pick one of its running allocations")
		c.Flags().StringVar(&f.group, "group", "", "with -job: of this group")
	}
}

func (f *chosen) alloc(ctx context.Context, cl *client, arg string) (*model.Allocation, error) {
	if f.job {
		return cl.allocOfJob(ctx, arg, f.group, f.task)
	}
	return cl.alloc(ctx, arg)
}

// pickTask is the task named by flag or argument, or the only one.
func (f *chosen) pickTask(al *model.Allocation, arg string) (string, error) {
	name := first(f.task, arg)
	var names []string
	if al.Job != nil {
		if g := al.Job.Group(al.TaskGroup); g != nil {
			for _, t := range g.Tasks {
				names = append(names, t.Name)
			}
		}
	}
	sort.Strings(names)
	if name == "" {
		if len(names) == 1 {
			return names[0], nil
		}
		return "", fmt.Errorf("allocation %s has several tasks, name one: %s", short(al.ID, false), strings.Join(names, ", "))
	}
	if len(names) > 0 && !contains(names, name) {
		return "", fmt.Errorf("allocation %s has no task %q; it has: %s", short(al.ID, false), name, strings.Join(names, ", "))
	}
	return name, nil
}

// oneOrAll is the task named by flag or argument, "" (all of them) when none is.
func (f *chosen) oneOrAll(al *model.Allocation, arg string) (string, error) {
	if first(f.task, arg) == "" {
		return "", nil
	}
	return f.pickTask(al, arg)
}

func arg(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

func allocRestart(a *app) *cobra.Command {
	var f chosen
	var all, verbose bool
	c := &cobra.Command{Use: "restart <alloc> [task]", Short: "Restart an allocation's tasks", Args: cobra.RangeArgs(1, 2)}
	f.add(c, false)
	c.Flags().BoolVar(&all, "all-tasks", false, "all tasks, prestart ones too")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, al, err := a.allocNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		task, err := f.oneOrAll(al, arg(args, 1))
		if err != nil {
			return err
		}
		return cl.put(cmd.Context(), "/v1/client/allocation/"+seg(al.ID)+"/restart", nil, map[string]any{"TaskName": task, "AllTasks": all}, nil)
	}
	return c
}

func allocSignal(a *app) *cobra.Command {
	var f chosen
	var signal string
	var verbose bool
	c := &cobra.Command{Use: "signal <alloc> [task]", Short: "Send a signal to an allocation's tasks", Args: cobra.RangeArgs(1, 2)}
	f.add(c, false)
	c.Flags().StringVar(&signal, "s", "SIGKILL", "the signal")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, al, err := a.allocNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		task, err := f.oneOrAll(al, arg(args, 1))
		if err != nil {
			return err
		}
		return cl.put(cmd.Context(), "/v1/client/allocation/"+seg(al.ID)+"/signal", nil, map[string]any{"Task": task, "Signal": signal}, nil)
	}
	return c
}

func allocStop(a *app) *cobra.Command {
	var w watching
	var noDelay bool
	c := &cobra.Command{Use: "stop <alloc>", Short: "Stop an allocation; the scheduler replaces it", Args: cobra.ExactArgs(1)}
	w.add(c)
	c.Flags().BoolVar(&noDelay, "no-shutdown-delay", false, "skip shutdown delays")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, al, err := a.allocNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		var resp registered
		if err := cl.put(cmd.Context(), "/v1/allocation/"+seg(al.ID)+"/stop", query{"no_shutdown_delay": strconv.FormatBool(noDelay)}, nil, &resp); err != nil {
			return err
		}
		return w.follow(cmd.Context(), a, cl, resp.EvalID)
	}
	return c
}

func allocChecks(a *app) *cobra.Command {
	var verbose bool
	c := &cobra.Command{Use: "checks <alloc>", Short: "Show the results of an allocation's service checks", Args: cobra.ExactArgs(1)}
	f := addFormat(c)
	c.Flags().BoolVar(&verbose, "verbose", false, "all lines of what the checks answered")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, al, err := a.allocNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		var checks map[string]rpc.CheckResult
		if _, err := cl.get(cmd.Context(), "/v1/client/allocation/"+seg(al.ID)+"/checks", nil, &checks); err != nil {
			return err
		}
		return f.print(a.Stdout, checks, func(w io.Writer) {
			if len(checks) == 0 {
				fmt.Fprintln(w, "No checks")
				return
			}
			rows := [][]string{{"Service", "Task", "Check", "Status", "Mode", "Asked", "Output"}}
			for _, ch := range sortedChecks(checks) {
				output, _, _ := strings.Cut(ch.Output, "\n")
				if verbose {
					output = ch.Output
				}
				asked := "never"
				if ch.Timestamp > 0 {
					asked = time.Unix(ch.Timestamp, 0).Format(time.RFC3339)
				}
				rows = append(rows, []string{ch.Service, ch.Task, ch.Check, ch.Status, ch.Mode, asked, output})
			}
			printTable(w, rows...)
		})
	}
	return c
}

// sortedChecks orders by service, task and check.
func sortedChecks(checks map[string]rpc.CheckResult) []rpc.CheckResult {
	return slices.SortedFunc(maps.Values(checks), func(a, b rpc.CheckResult) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Task, b.Task), cmp.Compare(a.Check, b.Check), cmp.Compare(a.ID, b.ID))
	})
}
