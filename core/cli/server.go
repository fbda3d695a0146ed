package cli

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func serverCommands(a *app) []*cobra.Command {
	return []*cobra.Command{parent("server", "Look at servers", serverMembers(a), serverJoin(a), serverForceLeave(a))}
}

func serverMembers(a *app) *cobra.Command {
	var verbose, detailed bool
	c := &cobra.Command{Use: "members", Short: "List servers", Args: cobra.NoArgs}
	f := addFormat(c)
	c.Flags().BoolVar(&verbose, "verbose", false, "more columns")
	c.Flags().BoolVar(&detailed, "detailed", false, "show tags")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var out struct {
			ServerRegion, ServerDC string
			Members                []struct {
				Name, Addr, Status string
				Port               int
				Tags               map[string]string
			}
		}
		if _, err := cl.get(cmd.Context(), "/v1/agent/members", nil, &out); err != nil {
			return err
		}
		leaders := map[string]string{} // by region; none of a region that is out of reach
		for _, m := range out.Members {
			region := first(m.Tags["region"], out.ServerRegion)
			if _, asked := leaders[region]; asked {
				continue
			}
			var leader string
			if _, err := cl.get(cmd.Context(), "/v1/status/leader", query{"region": region}, &leader); err != nil && region == out.ServerRegion {
				return err
			}
			leaders[region] = leader
		}
		return f.print(a.Stdout, out.Members, func(w io.Writer) {
			if detailed {
				rows := [][]string{{"Name", "Address", "Port", "Tags"}}
				for _, m := range out.Members {
					var tags []string
					for _, k := range sortedKeys(m.Tags) {
						tags = append(tags, k+"="+m.Tags[k])
					}
					rows = append(rows, []string{m.Name, m.Addr, strconv.Itoa(m.Port), strings.Join(tags, ",")})
				}
				printTable(w, rows...)
				return
			}
			rows := [][]string{{"Name", "Address", "Port", "Status", "Leader", "Raft Version", "Build", "Datacenter", "Region"}}
			for _, m := range out.Members {
				leader := leaders[first(m.Tags["region"], out.ServerRegion)]
				isLeader := leader != "" && leader == net.JoinHostPort(m.Tags["rpc_addr"], m.Tags["port"])
				rows = append(rows, []string{m.Name, m.Addr, strconv.Itoa(m.Port), m.Status, strconv.FormatBool(isLeader), first(m.Tags["raft_vsn"], "3"),
					m.Tags["build"], first(m.Tags["dc"], out.ServerDC), first(m.Tags["region"], out.ServerRegion)})
			}
			printTable(w, rows...)
		})
	}
	return c
}

func serverJoin(a *app) *cobra.Command {
	return &cobra.Command{Use: "join <address>...", Short: "Make the agent's server known to other servers", Args: cobra.MinimumNArgs(1),
		Long: "The addresses are those of the gossip, host:port (4648 unless changed).",
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.api()
			if err != nil {
				return err
			}
			joined := 0
			var failed []error
			for _, addr := range args {
				var out struct {
					Joined int    `json:"num_joined"`
					Error  string `json:"error"`
				}
				if err := cl.put(cmd.Context(), "/v1/agent/join", query{"address": addr}, nil, &out); err != nil {
					return err
				}
				joined += out.Joined
				if out.Error != "" {
					failed = append(failed, fmt.Errorf("%s: %s", addr, strings.TrimSpace(out.Error)))
				}
			}
			if joined == 0 {
				return fmt.Errorf("no server answered: %w", errors.Join(failed...))
			}
			fmt.Fprintf(a.Stdout, "Joined %d servers successfully\n", joined)
			return nil
		}}
}

func serverForceLeave(a *app) *cobra.Command {
	var prune bool
	c := &cobra.Command{Use: "force-leave <name>", Short: "Have a failed server count as one that left", Args: cobra.ExactArgs(1)}
	c.Flags().BoolVar(&prune, "prune", false, "forget it at once")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		q := query{"node": args[0]}
		if prune {
			q["prune"] = "1"
		}
		return cl.put(cmd.Context(), "/v1/agent/force-leave", q, nil, nil)
	}
	return c
}
