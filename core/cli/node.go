package cli

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/model"
)

func nodeCommands(a *app) []*cobra.Command {
	return []*cobra.Command{parent("node", "Look at and manage nodes",
		nodeStatus(a), nodeDrain(a), nodeEligibility(a),
		parent("meta", "Read and change a node's dynamic meta", nodeMetaApply(a), nodeMetaRead(a)),
		parent("intro", "Let new nodes join", nodeIntroCreate(a), nodeIntroList(a), nodeIntroRevoke(a)),
		parent("pool", "Look at node pools", nodePoolList(a), nodePoolInfo(a), nodePoolNodes(a)))}
}

// nodeStub is a node in a list.
type nodeStub struct {
	Address, ID, Datacenter, Name, NodePool, NodeClass, Version string
	Drain                                                       bool
	SchedulingEligibility, Status                               string
	Attributes                                                  map[string]string
}

// thisNode resolves a prefix, or finds the agent's own node.
func (c *client) thisNode(ctx context.Context, prefix string, self bool) (string, error) {
	if !self {
		return c.resolve(ctx, "nodes", "node", prefix)
	}
	var out struct {
		Stats map[string]map[string]string `json:"stats"`
	}
	if _, err := c.get(ctx, "/v1/agent/self", nil, &out); err != nil {
		return "", err
	}
	if id := out.Stats["client"]["node_id"]; id != "" {
		return id, nil
	}
	return "", fmt.Errorf("the agent at %s runs no node", c.base)
}

func nodeStatus(a *app) *cobra.Command {
	var self, stats, allocs, shortForm, os, quiet, verbose bool
	var filter, token string
	var perPage int
	c := &cobra.Command{Use: "status [node]", Short: "List nodes, or show one", Args: cobra.MaximumNArgs(1)}
	f := addFormat(c)
	fl := c.Flags()
	fl.BoolVar(&self, "self", false, "the agent's own node")
	fl.BoolVar(&stats, "stats", false, "use of resources in detail")
	fl.BoolVar(&allocs, "allocs", false, "count running allocations")
	fl.BoolVar(&shortForm, "short", false, "only the node itself")
	fl.BoolVar(&os, "os", false, "show the operating system")
	fl.BoolVar(&quiet, "quiet", false, "only IDs")
	fl.BoolVar(&verbose, "verbose", false, "full IDs, attributes and meta")
	fl.StringVar(&filter, "filter", "", "only those an expression holds for")
	fl.IntVar(&perPage, "per-page", 0, "at most this many")
	fl.StringVar(&token, "page-token", "", "go on where a page ended")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		if len(args) == 0 && !self {
			q := query{"filter": filter, "next_token": token, "os": strconv.FormatBool(os)}
			if perPage > 0 {
				q["per_page"] = strconv.Itoa(perPage)
			}
			return a.listNodes(cmd.Context(), cl, f, "/v1/nodes", q, quiet, allocs, os, verbose)
		}
		id, err := cl.thisNode(cmd.Context(), arg(args, 0), self)
		if err != nil {
			return err
		}
		var n struct {
			model.Node
			Drain bool
		}
		if _, err := cl.get(cmd.Context(), "/v1/node/"+seg(id), nil, &n); err != nil {
			return err
		}
		if f.json || f.template != "" {
			return f.print(a.Stdout, n, nil)
		}
		var running []*model.Allocation
		if _, err := cl.get(cmd.Context(), "/v1/node/"+seg(id)+"/allocations", nil, &running); err != nil {
			return err
		}
		nodeText(a.Stdout, &n.Node, running, shortForm, verbose)
		if stats {
			var host map[string]any
			if _, err := cl.get(cmd.Context(), "/v1/client/stats", query{"node_id": id}, &host); err != nil {
				return err
			}
			section(a.Stdout, "Host Resource Utilization")
			return printJSON(a.Stdout, host)
		}
		return nil
	}
	return c
}

func (a *app) listNodes(ctx context.Context, cl *client, f *format, path string, q query, quiet, allocs, os, verbose bool) error {
	var nodes []*nodeStub
	if _, err := cl.get(ctx, path, q, &nodes); err != nil {
		return err
	}
	if f.json || f.template != "" {
		return f.print(a.Stdout, nodes, nil)
	}
	if quiet {
		for _, n := range nodes {
			fmt.Fprintln(a.Stdout, n.ID)
		}
		return nil
	}
	if len(nodes) == 0 {
		return nil
	}
	head := []string{"ID", "Node Pool", "DC", "Name", "Class"}
	if os {
		head = append(head, "OS")
	}
	if verbose {
		head = append(head, "Address", "Version")
	}
	head = append(head, "Drain", "Eligibility", "Status")
	if allocs {
		head = append(head, "Running Allocs")
	}
	rows := [][]string{head}
	for _, n := range nodes {
		row := []string{short(n.ID, verbose), n.NodePool, n.Datacenter, n.Name, first(n.NodeClass, "<none>")}
		if os {
			row = append(row, n.Attributes["os.name"])
		}
		if verbose {
			row = append(row, n.Address, n.Version)
		}
		row = append(row, strconv.FormatBool(n.Drain), n.SchedulingEligibility, n.Status)
		if allocs {
			var on []*model.Allocation
			if _, err := cl.get(ctx, "/v1/node/"+seg(n.ID)+"/allocations", nil, &on); err != nil {
				return err
			}
			count := 0
			for _, al := range on {
				if al.ClientStatus == model.AllocClientRunning {
					count++
				}
			}
			row = append(row, strconv.Itoa(count))
		}
		rows = append(rows, row)
	}
	printTable(a.Stdout, rows...)
	return nil
}

func nodeText(w io.Writer, n *model.Node, allocs []*model.Allocation, shortForm, verbose bool) {
	var drivers []string
	for _, name := range sortedKeys(n.Drivers) {
		d := n.Drivers[name]
		if d.Detected {
			state := name
			if !d.Healthy {
				state += " (unhealthy)"
			}
			drivers = append(drivers, state)
		}
	}
	printKeys(w, [2]string{"ID", n.ID}, [2]string{"Name", n.Name}, [2]string{"Node Pool", n.NodePool}, [2]string{"Class", first(n.NodeClass, "<none>")},
		[2]string{"DC", n.Datacenter}, [2]string{"Drain", strconv.FormatBool(n.DrainStrategy != nil)}, [2]string{"Eligibility", n.SchedulingEligibility},
		[2]string{"Status", n.Status}, [2]string{"Drivers", strings.Join(drivers, ",")})
	if shortForm {
		return
	}
	section(w, "Drivers")
	rows := [][]string{{"Driver", "Detected", "Healthy", "Version", "Message"}}
	for _, name := range sortedKeys(n.Drivers) {
		d := n.Drivers[name]
		rows = append(rows, []string{name, strconv.FormatBool(d.Detected), strconv.FormatBool(d.Healthy), first(d.Version, "-"), d.HealthDescription})
	}
	printTable(w, rows...)
	if len(n.Events) > 0 {
		section(w, "Node Events")
		rows := [][]string{{"Time", "Subsystem", "Message"}}
		for i := len(n.Events) - 1; i >= 0; i-- {
			rows = append(rows, []string{stamp(n.Events[i].Timestamp), n.Events[i].Subsystem, n.Events[i].Message})
		}
		printTable(w, rows...)
	}
	if r := n.NodeResources; r != nil {
		var cpu, mem, disk int64
		running := 0
		for _, al := range allocs {
			if al.Terminal() || al.AllocatedResources == nil {
				continue
			}
			c := al.AllocatedResources.Comparable()
			cpu, mem, disk = cpu+c.CPUShares, mem+c.MemoryMB, disk+c.DiskMB
			running++
		}
		section(w, "Allocated Resources")
		printTable(w, []string{"CPU", "Memory", "Disk", "Allocations"}, []string{
			fmt.Sprintf("%d/%d MHz", cpu, r.Cpu.CpuShares), fmt.Sprintf("%d/%d MiB", mem, r.Memory.MemoryMB),
			fmt.Sprintf("%d/%d MiB", disk, r.Disk.DiskMB), strconv.Itoa(running)})
		deviceText(w, r.Devices, heldDevices(allocs), verbose)
	}
	section(w, "Allocations")
	if len(allocs) == 0 {
		fmt.Fprintln(w, "No allocations placed")
	} else {
		sort.Slice(allocs, func(i, j int) bool { return allocs[i].CreateIndex > allocs[j].CreateIndex })
		rows := [][]string{{"ID", "Job ID", "Task Group", "Version", "Desired", "Status", "Created", "Modified"}}
		for _, al := range allocs {
			rows = append(rows, []string{short(al.ID, verbose), al.JobID, al.TaskGroup, fmt.Sprint(al.JobVersion), al.DesiredStatus, al.ClientStatus, ago(al.CreateTime), ago(al.ModifyTime)})
		}
		printTable(w, rows...)
	}
	if !verbose {
		return
	}
	for title, m := range map[string]map[string]string{"Attributes": n.Attributes, "Meta": n.Meta} {
		section(w, title)
		var pairs [][2]string
		for _, k := range sortedKeys(m) {
			pairs = append(pairs, [2]string{k, m[k]})
		}
		printKeys(w, pairs...)
	}
}

func nodeDrain(a *app) *cobra.Command {
	var enable, disable, monitor, force, noDeadline, ignoreSystem, keepIneligible, self, detach, yes bool
	var deadline time.Duration
	var message string
	var meta []string
	c := &cobra.Command{Use: "drain <node>", Short: "Empty a node, or stop emptying it", Args: cobra.MaximumNArgs(1)}
	fl := c.Flags()
	fl.BoolVar(&enable, "enable", false, "move everything away")
	fl.BoolVar(&disable, "disable", false, "stop moving")
	fl.BoolVar(&monitor, "monitor", false, "only watch")
	fl.DurationVar(&deadline, "deadline", time.Hour, "after this, stop what is left")
	fl.BoolVar(&force, "force", false, "stop everything at once")
	fl.BoolVar(&noDeadline, "no-deadline", false, "wait as long as it takes")
	fl.BoolVar(&ignoreSystem, "ignore-system", false, "leave system jobs alone")
	fl.BoolVar(&keepIneligible, "keep-ineligible", false, "with -disable: take no new work yet")
	fl.BoolVar(&self, "self", false, "the agent's own node")
	fl.BoolVar(&detach, "detach", false, "do not watch")
	fl.BoolVar(&yes, "yes", false, "do not ask")
	fl.StringVar(&message, "m", "", "why")
	fl.StringArrayVar(&meta, "meta", nil, "key=value kept with the drain (repeatable)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		n := 0
		for _, b := range []bool{enable, disable, monitor} {
			if b {
				n++
			}
		}
		if n != 1 {
			return fmt.Errorf("give exactly one of -enable, -disable and -monitor")
		}
		if (len(args) == 0) != self {
			return fmt.Errorf("name a node or give -self")
		}
		cl, err := a.api()
		if err != nil {
			return err
		}
		id, err := cl.thisNode(cmd.Context(), arg(args, 0), self)
		if err != nil {
			return err
		}
		if monitor {
			return a.watchDrain(cmd.Context(), cl, id)
		}
		body := map[string]any{"NodeID": id, "MarkEligible": disable && !keepIneligible}
		m := map[string]string{}
		if message != "" {
			m["message"] = message
		}
		for _, kv := range meta {
			k, v, ok := strings.Cut(kv, "=")
			if !ok {
				return fmt.Errorf("-meta wants key=value, got %q", kv)
			}
			m[k] = v
		}
		body["Meta"] = m
		if enable {
			switch {
			case force:
				deadline = -1
			case noDeadline:
				deadline = 0
			}
			body["DrainSpec"] = map[string]any{"Deadline": deadline, "IgnoreSystemJobs": ignoreSystem}
		}
		if err := cl.put(cmd.Context(), "/v1/node/"+seg(id)+"/drain", nil, body, nil); err != nil {
			return err
		}
		if disable {
			fmt.Fprintf(a.Stdout, "Node %q drain strategy unset\n", id)
			return nil
		}
		fmt.Fprintf(a.Stdout, "Node %q drain strategy set\n", id)
		if detach {
			return nil
		}
		return a.watchDrain(cmd.Context(), cl, id)
	}
	return c
}

func (a *app) watchDrain(ctx context.Context, cl *client, id string) error {
	last := -1
	for {
		var n model.Node
		if _, err := cl.get(ctx, "/v1/node/"+seg(id), nil, &n); err != nil {
			return err
		}
		var allocs []*model.Allocation
		if _, err := cl.get(ctx, "/v1/node/"+seg(id)+"/allocations", nil, &allocs); err != nil {
			return err
		}
		left := 0
		for _, al := range allocs {
			if !al.ClientTerminal() {
				left++
			}
		}
		if left != last {
			fmt.Fprintf(a.Stdout, "%s: %d allocation(s) left on node %q\n", time.Now().Format(time.RFC3339), left, short(id, false))
			last = left
		}
		if n.DrainStrategy == nil {
			fmt.Fprintf(a.Stdout, "%s: drain complete for node %q\n", time.Now().Format(time.RFC3339), short(id, false))
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func nodeEligibility(a *app) *cobra.Command {
	var enable, disable, self bool
	c := &cobra.Command{Use: "eligibility <node>", Short: "Let a node take new work, or not", Args: cobra.MaximumNArgs(1)}
	c.Flags().BoolVar(&enable, "enable", false, "take new work")
	c.Flags().BoolVar(&disable, "disable", false, "take no new work")
	c.Flags().BoolVar(&self, "self", false, "the agent's own node")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if enable == disable {
			return fmt.Errorf("give -enable or -disable")
		}
		if (len(args) == 0) != self {
			return fmt.Errorf("name a node or give -self")
		}
		cl, err := a.api()
		if err != nil {
			return err
		}
		id, err := cl.thisNode(cmd.Context(), arg(args, 0), self)
		if err != nil {
			return err
		}
		e := map[bool]string{true: model.NodeEligible, false: model.NodeIneligible}[enable]
		if err := cl.put(cmd.Context(), "/v1/node/"+seg(id)+"/eligibility", nil, map[string]string{"NodeID": id, "Eligibility": e}, nil); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "Node %q scheduling eligibility set: %s\n", id, e)
		return nil
	}
	return c
}

func nodeMetaApply(a *app) *cobra.Command {
	var id, unset string
	c := &cobra.Command{Use: "apply [key=value...]", Short: "Change dynamic meta"}
	c.Flags().StringVar(&id, "node-id", "", "the node; the agent's own when absent")
	c.Flags().StringVar(&unset, "unset", "", "keys to remove, separated by commas")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		meta := map[string]*string{}
		for _, kv := range args {
			k, v, ok := strings.Cut(kv, "=")
			if !ok || k == "" {
				return fmt.Errorf("want key=value, got %q", kv)
			}
			meta[k] = &v
		}
		for _, k := range strings.Split(unset, ",") {
			if k != "" {
				meta[k] = nil
			}
		}
		if len(meta) == 0 {
			return fmt.Errorf("nothing to change: give key=value or -unset")
		}
		cl, err := a.api()
		if err != nil {
			return err
		}
		full := ""
		if id != "" {
			if full, err = cl.resolve(cmd.Context(), "nodes", "node", id); err != nil {
				return err
			}
		}
		return cl.put(cmd.Context(), "/v1/client/metadata", query{"node_id": full}, map[string]any{"NodeID": full, "Meta": meta}, nil)
	}
	return c
}

func nodeMetaRead(a *app) *cobra.Command {
	var id string
	c := &cobra.Command{Use: "read", Short: "Show a node's meta", Args: cobra.NoArgs}
	f := addFormat(c)
	c.Flags().StringVar(&id, "node-id", "", "the node; the agent's own when absent")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		full := ""
		if id != "" {
			if full, err = cl.resolve(cmd.Context(), "nodes", "node", id); err != nil {
				return err
			}
		}
		var meta struct {
			Meta    map[string]string
			Dynamic map[string]*string
			Static  map[string]string
		}
		if _, err := cl.get(cmd.Context(), "/v1/client/metadata", query{"node_id": full}, &meta); err != nil {
			return err
		}
		return f.print(a.Stdout, meta, func(w io.Writer) {
			var pairs [][2]string
			for _, k := range sortedKeys(meta.Meta) {
				pairs = append(pairs, [2]string{k, meta.Meta[k]})
			}
			printKeys(w, pairs...)
		})
	}
	return c
}

func nodePoolList(a *app) *cobra.Command {
	var filter string
	c := &cobra.Command{Use: "list", Short: "List node pools", Args: cobra.NoArgs}
	f := addFormat(c)
	c.Flags().StringVar(&filter, "filter", "", "only those an expression holds for")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var pools []*model.NodePool
		if _, err := cl.get(cmd.Context(), "/v1/node/pools", query{"filter": filter}, &pools); err != nil {
			return err
		}
		return f.print(a.Stdout, pools, func(w io.Writer) {
			rows := [][]string{{"Name", "Description"}}
			for _, p := range pools {
				rows = append(rows, []string{p.Name, first(p.Description, "<none>")})
			}
			printTable(w, rows...)
		})
	}
	return c
}

func nodePoolInfo(a *app) *cobra.Command {
	c := &cobra.Command{Use: "info <pool>", Short: "Show a node pool", Args: cobra.ExactArgs(1)}
	f := addFormat(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var p model.NodePool
		if _, err := cl.get(cmd.Context(), "/v1/node/pool/"+seg(args[0]), nil, &p); err != nil {
			return err
		}
		return f.print(a.Stdout, p, func(w io.Writer) {
			printKeys(w, [2]string{"Name", p.Name}, [2]string{"Description", first(p.Description, "<none>")})
		})
	}
	return c
}

func nodePoolNodes(a *app) *cobra.Command {
	var verbose, quiet bool
	c := &cobra.Command{Use: "nodes <pool>", Short: "List a pool's nodes", Args: cobra.ExactArgs(1)}
	f := addFormat(c)
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.Flags().BoolVar(&quiet, "quiet", false, "only IDs")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		return a.listNodes(cmd.Context(), cl, f, "/v1/node/pool/"+seg(args[0])+"/nodes", nil, quiet, false, false, verbose)
	}
	return c
}
