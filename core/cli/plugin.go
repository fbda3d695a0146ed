package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

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
		for i := range found {
			found[i].PluginInfo = cl.measured(cmd.Context(), found[i])
		}
		return f.print(a.Stdout, found, func(w io.Writer) {
			for i, p := range found {
				if i > 0 {
					fmt.Fprintln(w)
				}
				printPlugin(w, p)
			}
		})
	}
	return c
}

// measured asks the node itself, which alone knows what a plugin does and costs now. What the servers know is better
// than nothing when the node is away.
func (c *client) measured(ctx context.Context, p plugin) model.PluginInfo {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var list []model.PluginInfo
	if _, err := c.get(ctx, "/v1/client/plugins", query{"node_id": p.NodeID}, &list); err != nil {
		return p.PluginInfo
	}
	for _, now := range list {
		if now.File == p.File && now.Generation == p.Generation {
			return now
		}
	}
	return p.PluginInfo
}

func printPlugin(w io.Writer, p plugin) {
	started := "N/A"
	if p.StartedAt > 0 {
		started = stamp(time.Unix(p.StartedAt, 0))
	}
	printKeys(w, [2]string{"Name", p.Name}, [2]string{"Type", p.Type}, [2]string{"Version", p.Version}, [2]string{"Node", p.NodeName},
		[2]string{"State", p.State}, [2]string{"Reason", printable(p.Reason)}, [2]string{"File", p.File}, [2]string{"SHA-256", p.SHA256}, [2]string{"Trust", first(p.Trust, "nothing was asked for")},
		[2]string{"PID", strconv.Itoa(p.PID)}, [2]string{"Restarts", strconv.Itoa(p.Restarts)}, [2]string{"Started", started},
		[2]string{"Generation", fmt.Sprint(p.Generation)}, [2]string{"Tasks", strconv.Itoa(p.TaskCount)})
	u := p.Usage
	if u == nil {
		return
	}
	printKeys(w, [2]string{"Memory    ", fmt.Sprintf("%.1f MiB", float64(u.MemoryBytes)/(1<<20))}, [2]string{"Calls", fmt.Sprint(u.Calls)},
		[2]string{"Errors", fmt.Sprintf("%d, of which %d without an answer in time", u.Errors, u.Timeouts)},
		[2]string{"Events", fmt.Sprintf("%d dropped", u.EventsDropped)})
	if len(u.Methods) == 0 {
		return
	}
	section(w, "Calls")
	rows := [][]string{{"Method", "Calls", "Now", "Errors", "Late", "Refused", "Mean", "Slowest", "Last Error"}}
	for _, m := range u.Methods {
		mean, slowest := "-", "-"
		if ended := m.Calls - uint64(m.InFlight); ended > 0 && m.Slowest > 0 {
			mean, slowest = seconds(m.Seconds/float64(ended)), seconds(m.Slowest)
		}
		rows = append(rows, []string{m.Method, fmt.Sprint(m.Calls), strconv.Itoa(m.InFlight), fmt.Sprint(m.Errors), fmt.Sprint(m.Timeouts),
			fmt.Sprint(m.Refused), mean, slowest, m.LastError})
	}
	printTable(w, rows...)
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(10 * time.Microsecond).String()
}

func pluginLogs(a *app) *cobra.Command {
	var follow, asJSON bool
	var nodeID string
	c := &cobra.Command{Use: "logs <name>", Short: "Show what a plugin wrote to its standard error", Args: cobra.ExactArgs(1)}
	c.Flags().BoolVar(&follow, "f", false, "go on as it grows")
	c.Flags().BoolVar(&asJSON, "json", false, "print each line as a JSON object")
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
		if asJSON {
			err = jsonLines(a.Stdout, resp.Body)
		} else {
			_, err = io.Copy(a.Stdout, resp.Body)
		}
		if cmd.Context().Err() != nil {
			return nil
		}
		return err
	}
	return c
}

// jsonLines writes each line as an object with the key Line.
func jsonLines(w io.Writer, r io.Reader) error {
	b := bufio.NewReader(r)
	out := json.NewEncoder(w)
	for {
		line, err := b.ReadString('\n')
		if line != "" {
			if err := out.Encode(struct{ Line string }{strings.TrimSuffix(line, "\n")}); err != nil {
				return err
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

func pluginReload(a *app) *cobra.Command {
	c := &cobra.Command{Use: "reload [name]", Short: "Have the agent read its configuration again and apply changed plugin blocks",
		Long: `Have the agent read its configuration again and apply changed plugin blocks: all, or that of one plugin.

With a name, a plugin that failed is tried again, and a changed file whose block says upgrade = "manual" is taken up.`,
		Args: cobra.MaximumNArgs(1)}
	f := addFormat(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		done := struct{ Reloaded, Plugin string }{Reloaded: "configuration"}
		var q query
		if len(args) == 1 {
			done.Reloaded, done.Plugin = "plugin", args[0]
			q = query{"plugin": args[0]}
		}
		if err := cl.put(cmd.Context(), "/v1/agent/reload", q, nil, nil); err != nil {
			return err
		}
		return f.print(a.Stdout, done, func(w io.Writer) {
			if done.Plugin != "" {
				fmt.Fprintf(w, "Plugin %s reloaded\n", done.Plugin)
				return
			}
			fmt.Fprintln(w, "Configuration reloaded")
		})
	}
	return c
}
