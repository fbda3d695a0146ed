package cli

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func agentCommands(a *app) []*cobra.Command {
	agent := &cobra.Command{Use: "agent", Short: "Run an agent: server, node or both", DisableFlagParsing: true}
	agent.RunE = func(cmd *cobra.Command, args []string) error {
		if code := a.Agent(cmd.Context(), args, a.Stdout, a.Stderr); code != 0 {
			return &exitError{code: code}
		}
		return nil
	}
	version := &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, args []string) error {
		fmt.Fprintf(a.Stdout, "Drover %s\nRevision %s\n", a.Version, a.Commit)
		return nil
	}}
	return []*cobra.Command{agent, version, agentInfo(a), monitorLogs(a)}
}

func agentInfo(a *app) *cobra.Command {
	c := &cobra.Command{Use: "agent-info", Short: "Show what an agent knows of itself", Args: cobra.NoArgs}
	f := addFormat(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var self map[string]any
		if _, err := cl.get(cmd.Context(), "/v1/agent/self", nil, &self); err != nil {
			return err
		}
		return f.print(a.Stdout, self, func(w io.Writer) {
			stats, _ := self["stats"].(map[string]any)
			for _, s := range sortedKeys(stats) {
				fmt.Fprintln(w, s)
				values, _ := stats[s].(map[string]any)
				for _, k := range sortedKeys(values) {
					fmt.Fprintf(w, "  %s = %v\n", k, values[k])
				}
			}
		})
	}
	return c
}

func monitorLogs(a *app) *cobra.Command {
	var level string
	var asJSON bool
	c := &cobra.Command{Use: "monitor", Short: "Stream an agent's log", Args: cobra.NoArgs}
	c.Flags().StringVar(&level, "log-level", "info", "lowest level shown")
	c.Flags().BoolVar(&asJSON, "json", false, "lines as JSON")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		resp, err := cl.do(cmd.Context(), http.MethodGet, "/v1/agent/monitor",
			query{"log_level": strings.ToLower(level), "plain": "true", "log_json": fmt.Sprint(asJSON)}, nil)
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
