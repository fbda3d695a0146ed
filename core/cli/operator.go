package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/model"
)

func operatorCommands(a *app) []*cobra.Command {
	return []*cobra.Command{parent("operator", "Tools for those who run the cluster",
		operatorAPI(a), operatorMetrics(a),
		parent("raft", "Who leads and who votes", raftPeers(a), raftRemovePeer(a), raftTransfer(a)),
		parent("autopilot", "How the group of servers is tended", autopilotGet(a), autopilotSet(a), autopilotHealth(a)),
		parent("gossip", "The servers' gossip", gossipKeyring(a)),
		parent("scheduler", "Scheduling behaviour", schedulerGet(a), schedulerSet(a)),
		parent("snapshot", "Save and restore the servers' state", snapshotSave(a), snapshotRestore(a), snapshotInspect(a), snapshotState(a)))}
}

func systemCommands(a *app) []*cobra.Command {
	simple := func(use, short, path string) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.api()
			if err != nil {
				return err
			}
			return cl.put(cmd.Context(), path, nil, nil, nil)
		}}
	}
	return []*cobra.Command{parent("system", "Housekeeping",
		simple("gc", "Forget everything that is over", "/v1/system/gc"),
		parent("reconcile", "Recount", simple("summaries", "Recount job summaries", "/v1/system/reconcile/summaries")))}
}

func operatorAPI(a *app) *cobra.Command {
	var method, filter string
	var headers []string
	var dry, verbose bool
	c := &cobra.Command{Use: "api <path>", Short: "Call the HTTP API; a request body is read from standard input", Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&method, "X", "", "method; GET, or PUT when there is a body")
	c.Flags().StringArrayVar(&headers, "H", nil, "header \"Name: value\" (repeatable)")
	c.Flags().StringVar(&filter, "filter", "", "filter expression")
	c.Flags().BoolVar(&dry, "dryrun", false, "print the equivalent curl command")
	c.Flags().BoolVar(&verbose, "verbose", false, "print status and headers to standard error")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		path, rawQuery, _ := strings.Cut(args[0], "?")
		if !strings.HasPrefix(path, "/") {
			path = "/v1/" + strings.TrimPrefix(path, "v1/")
		}
		var body io.Reader
		if f, ok := a.Stdin.(*os.File); ok {
			if st, err := f.Stat(); err == nil && (st.Mode()&os.ModeNamedPipe != 0 || st.Mode().IsRegular()) {
				body = f
			}
		} else if a.Stdin != nil {
			body = a.Stdin
		}
		if method == "" {
			method = http.MethodGet
			if body != nil {
				method = http.MethodPut
			}
		}
		u := cl.url(path, query{"filter": filter})
		if rawQuery != "" {
			if u.RawQuery != "" {
				rawQuery += "&" + u.RawQuery
			}
			u.RawQuery = rawQuery
		}
		if dry {
			fmt.Fprintf(a.Stdout, "curl -X %s '%s'\n", method, u)
			return nil
		}
		req, err := http.NewRequestWithContext(cmd.Context(), method, u.String(), body)
		if err != nil {
			return err
		}
		cl.authorize(req.Header)
		for _, h := range headers {
			k, v, ok := strings.Cut(h, ":")
			if !ok {
				return fmt.Errorf("-H wants \"Name: value\", got %q", h)
			}
			req.Header.Add(strings.TrimSpace(k), strings.TrimSpace(v))
		}
		resp, err := cl.http.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if verbose {
			fmt.Fprintln(a.Stderr, "<", resp.Proto, resp.Status)
			for _, k := range sortedKeys(resp.Header) {
				fmt.Fprintf(a.Stderr, "< %s: %s\n", k, strings.Join(resp.Header[k], ", "))
			}
		}
		if _, err := io.Copy(a.Stdout, resp.Body); err != nil {
			return err
		}
		if resp.StatusCode/100 != 2 {
			return &exitError{1, fmt.Sprintf("\nUnexpected response code: %d", resp.StatusCode)}
		}
		return nil
	}
	return c
}

func operatorMetrics(a *app) *cobra.Command {
	var pretty bool
	var formatName string
	c := &cobra.Command{Use: "metrics", Short: "Print the agent's metrics", Args: cobra.NoArgs}
	f := addFormat(c)
	c.Flags().BoolVar(&pretty, "pretty", false, "indented JSON")
	c.Flags().StringVar(&formatName, "format", "", "prometheus for its text form")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		resp, err := cl.do(cmd.Context(), http.MethodGet, "/v1/metrics", query{"format": formatName}, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if formatName != "" {
			_, err = io.Copy(a.Stdout, resp.Body)
			return err
		}
		var v any
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
			return err
		}
		if f.template != "" {
			return f.print(a.Stdout, v, nil)
		}
		return printJSON(a.Stdout, v)
	}
	return c
}

type schedulerConfig struct {
	SchedulerConfig model.SchedulerConfig
}

func schedulerGet(a *app) *cobra.Command {
	c := &cobra.Command{Use: "get-config", Short: "Show scheduling behaviour", Args: cobra.NoArgs}
	f := addFormat(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var out schedulerConfig
		if _, err := cl.get(cmd.Context(), "/v1/operator/scheduler/configuration", nil, &out); err != nil {
			return err
		}
		s := out.SchedulerConfig
		return f.print(a.Stdout, out, func(w io.Writer) {
			printKeys(w, [2]string{"Scheduler Algorithm", s.SchedulerAlgorithm},
				[2]string{"Memory Oversubscription", strconv.FormatBool(s.MemoryOversubscriptionEnabled)},
				[2]string{"Reject Job Registration", strconv.FormatBool(s.RejectJobRegistration)},
				[2]string{"Pause Eval Broker", strconv.FormatBool(s.PauseEvalBroker)},
				[2]string{"Preemption System Scheduler", strconv.FormatBool(s.PreemptionConfig.SystemSchedulerEnabled)},
				[2]string{"Preemption Service Scheduler", strconv.FormatBool(s.PreemptionConfig.ServiceSchedulerEnabled)},
				[2]string{"Preemption Batch Scheduler", strconv.FormatBool(s.PreemptionConfig.BatchSchedulerEnabled)},
				[2]string{"Preemption SysBatch Scheduler", strconv.FormatBool(s.PreemptionConfig.SysBatchSchedulerEnabled)},
				[2]string{"Modify Index", fmt.Sprint(s.ModifyIndex)})
		})
	}
	return c
}

func schedulerSet(a *app) *cobra.Command {
	var algorithm, oversub, reject, pause, batch, service, sysbatch, system, checkIndex string
	var limit int
	c := &cobra.Command{Use: "set-config", Short: "Change scheduling behaviour", Args: cobra.NoArgs}
	fl := c.Flags()
	fl.StringVar(&algorithm, "scheduler-algorithm", "", "binpack or spread")
	fl.StringVar(&oversub, "memory-oversubscription", "", "true or false")
	fl.StringVar(&reject, "reject-job-registration", "", "true or false")
	fl.StringVar(&pause, "pause-eval-broker", "", "true or false")
	fl.StringVar(&batch, "preempt-batch-scheduler", "", "true or false")
	fl.StringVar(&service, "preempt-service-scheduler", "", "true or false")
	fl.StringVar(&sysbatch, "preempt-sysbatch-scheduler", "", "true or false")
	fl.StringVar(&system, "preempt-system-scheduler", "", "true or false")
	fl.IntVar(&limit, "node-limit-for-feasibility-checks", 0, "nodes looked at with affinities or spreads")
	fl.StringVar(&checkIndex, "check-index", "", "only if the configuration's modify index is this one")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var cur schedulerConfig
		if _, err := cl.get(cmd.Context(), "/v1/operator/scheduler/configuration", nil, &cur); err != nil {
			return err
		}
		s := &cur.SchedulerConfig
		if algorithm != "" {
			s.SchedulerAlgorithm = algorithm
		}
		if limit > 0 {
			s.NodeLimitForFeasibilityChecks = limit
		}
		for _, b := range []struct {
			name, value string
			to          *bool
		}{
			{"memory-oversubscription", oversub, &s.MemoryOversubscriptionEnabled}, {"reject-job-registration", reject, &s.RejectJobRegistration},
			{"pause-eval-broker", pause, &s.PauseEvalBroker}, {"preempt-batch-scheduler", batch, &s.PreemptionConfig.BatchSchedulerEnabled},
			{"preempt-service-scheduler", service, &s.PreemptionConfig.ServiceSchedulerEnabled},
			{"preempt-sysbatch-scheduler", sysbatch, &s.PreemptionConfig.SysBatchSchedulerEnabled},
			{"preempt-system-scheduler", system, &s.PreemptionConfig.SystemSchedulerEnabled},
		} {
			if b.value == "" {
				continue
			}
			v, err := strconv.ParseBool(b.value)
			if err != nil {
				return fmt.Errorf("-%s must be true or false, got %q", b.name, b.value)
			}
			*b.to = v
		}
		var resp struct{ Updated bool }
		if err := cl.put(cmd.Context(), "/v1/operator/scheduler/configuration", query{"cas": checkIndex}, s, &resp); err != nil {
			return err
		}
		if !resp.Updated {
			return errors.New("the scheduler configuration was changed by somebody else: not updated")
		}
		fmt.Fprintln(a.Stdout, "Scheduler configuration updated!")
		return nil
	}
	return c
}

func namespaceCommands(a *app) []*cobra.Command {
	list := &cobra.Command{Use: "list", Short: "List namespaces", Args: cobra.NoArgs}
	f := addFormat(list)
	list.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var out []*model.Namespace
		if _, err := cl.get(cmd.Context(), "/v1/namespaces", nil, &out); err != nil {
			return err
		}
		return f.print(a.Stdout, out, func(w io.Writer) {
			rows := [][]string{{"Name", "Description"}}
			for _, n := range out {
				rows = append(rows, []string{n.Name, first(n.Description, "<none>")})
			}
			printTable(w, rows...)
		})
	}
	var description string
	apply := &cobra.Command{Use: "apply <name>", Short: "Make or change a namespace", Args: cobra.ExactArgs(1)}
	apply.Flags().StringVar(&description, "description", "", "what it is for")
	apply.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		if err := cl.put(cmd.Context(), "/v1/namespace/"+seg(args[0]), nil, map[string]string{"Name": args[0], "Description": description}, nil); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "Successfully applied namespace %q!\n", args[0])
		return nil
	}
	del := &cobra.Command{Use: "delete <name>", Short: "Delete a namespace", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		if err := cl.delete(cmd.Context(), "/v1/namespace/"+seg(args[0]), nil, nil); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "Successfully deleted namespace %q!\n", args[0])
		return nil
	}}
	return []*cobra.Command{parent("namespace", "Separate jobs", list, apply, del)}
}
