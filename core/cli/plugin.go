package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/model"
)

func pluginCommands(a *app) []*cobra.Command {
	return []*cobra.Command{parent("plugin", "Look at, check, try out and write plugins",
		pluginList(a), pluginStatus(a), pluginLogs(a), pluginReload(a), pluginVerify(a), pluginRun(a), pluginNew(a), pluginKeygen(a), pluginSign(a))}
}

// plugin is a plugin of one node.
type plugin struct {
	model.PluginInfo
	NodeID   string
	NodeName string
}

func (c *client) plugins(ctx context.Context, kind string) ([]plugin, error) {
	var out []plugin
	_, err := c.get(ctx, "/v1/plugins", query{"type": kind}, &out)
	return out, err
}

func pluginList(a *app) *cobra.Command {
	var kind, nodeID string
	var verbose bool
	c := &cobra.Command{Use: "list", Short: "List the plugins of all nodes, those that could not be used included", Args: cobra.NoArgs}
	f := addFormat(c)
	c.Flags().StringVar(&kind, "type", "all", "driver, device, network or all")
	c.Flags().StringVar(&nodeID, "node", "", "only on this node")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs and digests")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		all, err := cl.plugins(cmd.Context(), kind)
		if err != nil {
			return err
		}
		plugins := []plugin{}
		for _, p := range all {
			if strings.HasPrefix(p.NodeID, nodeID) {
				plugins = append(plugins, p)
			}
		}
		return f.print(a.Stdout, plugins, func(w io.Writer) {
			if len(plugins) == 0 {
				fmt.Fprintln(w, "No plugins found")
				return
			}
			rows := [][]string{{"Name", "Type", "Version", "State", "Node", "PID", "Restarts", "Tasks", "File", "Reason"}}
			for _, p := range plugins {
				rows = append(rows, []string{first(p.Name, "-"), first(p.Type, "-"), first(p.Version, "-"), p.State, first(p.NodeName, short(p.NodeID, verbose)),
					strconv.Itoa(p.PID), strconv.Itoa(p.Restarts), strconv.Itoa(p.TaskCount), p.File, p.Reason})
			}
			printTable(w, rows...)
		})
	}
	return c
}

func pluginStatus(a *app) *cobra.Command {
	c := &cobra.Command{Use: "status [name]", Short: "Show one plugin on every node that has it", Args: cobra.MaximumNArgs(1)}
	f := addFormat(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		all, err := cl.plugins(cmd.Context(), "all")
		if err != nil {
			return err
		}
		found := []plugin{}
		for _, p := range all {
			if len(args) == 0 || p.Name == args[0] || p.File == args[0] {
				found = append(found, p)
			}
		}
		if len(found) == 0 && len(args) > 0 {
			return fmt.Errorf("no node has a plugin named %q", args[0])
		}
		return f.print(a.Stdout, found, func(w io.Writer) {
			for _, p := range found {
				printKeys(w, [2]string{"Name", p.Name}, [2]string{"Type", p.Type}, [2]string{"Version", p.Version}, [2]string{"Node", p.NodeName},
					[2]string{"State", p.State}, [2]string{"Reason", p.Reason}, [2]string{"File", p.File}, [2]string{"SHA-256", p.SHA256}, [2]string{"Trust", first(p.Trust, "nothing was asked for")},
					[2]string{"PID", strconv.Itoa(p.PID)}, [2]string{"Restarts", strconv.Itoa(p.Restarts)}, [2]string{"Started", stampNS(p.StartedAt)},
					[2]string{"Generation", fmt.Sprint(p.Generation)}, [2]string{"Tasks", strconv.Itoa(p.TaskCount)})
				fmt.Fprintln(w)
			}
		})
	}
	return c
}

func pluginLogs(a *app) *cobra.Command {
	var follow bool
	var nodeID string
	c := &cobra.Command{Use: "logs <name>", Short: "Show what a plugin wrote to its standard error", Args: cobra.ExactArgs(1)}
	c.Flags().BoolVar(&follow, "f", false, "go on as it grows")
	c.Flags().StringVar(&nodeID, "node", "", "on this node; the agent's own when absent")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		full := ""
		if nodeID != "" {
			if full, err = cl.resolve(cmd.Context(), "nodes", "node", nodeID); err != nil {
				return err
			}
		}
		resp, err := cl.do(cmd.Context(), http.MethodGet, "/v1/client/plugin/logs/"+seg(args[0]),
			query{"follow": strconv.FormatBool(follow), "node_id": full}, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(a.Stdout, resp.Body)
		if cmd.Context().Err() != nil {
			return nil
		}
		return err
	}
	return c
}

func pluginReload(a *app) *cobra.Command {
	return &cobra.Command{Use: "reload", Short: "Have the agent read its configuration again and apply changed plugin blocks", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.api()
			if err != nil {
				return err
			}
			if err := cl.put(cmd.Context(), "/v1/agent/reload", nil, nil, nil); err != nil {
				return err
			}
			fmt.Fprintln(a.Stdout, "Configuration reloaded")
			return nil
		}}
}
