package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/droverhq/drover/core/agent"
)

var update = flag.Bool("update", false, "write docs/guide/cli.md anew")

// TestReference keeps docs/guide/cli.md in step with the commands: go test ./core/cli -run TestReference -update.
func TestReference(t *testing.T) {
	var stdout, usage bytes.Buffer
	agent.Main(context.Background(), []string{"-help"}, "", &stdout, &usage)
	want := reference(newRoot(&Env{Stdout: &stdout, Stderr: &stdout}), usage.String())
	path := filepath.Join("..", "..", "docs", "guide", "cli.md")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale (%s); refresh it with -update", path, firstDifference(string(got), want))
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d is %q, want %q", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

func reference(root *cobra.Command, agentUsage string) string {
	var b strings.Builder
	b.WriteString(`# Command line

Generated from the commands themselves; ` + "`go test ./core/cli -run TestReference -update`" + ` writes it anew.

Flags are written with one dash or two, values after ` + "`=`" + ` or a space. Commands that print tables also take ` + "`-json`" + ` (what
the API answers) and ` + "`-t`" + ` (a Go template over it). IDs may be shortened to any prefix that names one thing. Errors go to
standard error and end with a code other than 0; ` + "`job plan`" + ` ends with 0 when nothing would change, 1 when something would and
255 on an error.

Every command takes these:

`)
	writeFlags(&b, root.PersistentFlags())
	b.WriteString("\nAn environment variable `DROVER_X` goes before `NOMAD_X`, a flag before both.\n\n## Commands\n\n| command | what it does |\n|---|---|\n")
	all := commands(root)
	for _, c := range all {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", c.CommandPath(), anchor(c), cell(c.Short))
	}
	for _, c := range all {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n```\n%s\n```\n", c.CommandPath(), c.Short, strings.TrimSuffix(c.UseLine(), " [flags]"))
		if c.Long != "" {
			fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(c.Long))
		}
		if c.DisableFlagParsing {
			fmt.Fprintf(&b, "\n```\n%s\n```\n", strings.TrimSpace(strings.ReplaceAll(agentUsage, "\t", "    ")))
			continue
		}
		if c.LocalNonPersistentFlags().HasAvailableFlags() {
			b.WriteString("\n")
			writeFlags(&b, c.LocalNonPersistentFlags())
		}
	}
	return b.String()
}

// commands lists what can be run, in the order of the tree. Groups that only hold others are left out.
func commands(c *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
			continue
		}
		if sub.HasSubCommands() {
			out = append(out, commands(sub)...)
			continue
		}
		out = append(out, sub)
	}
	return out
}

func anchor(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

func writeFlags(b *strings.Builder, fs *pflag.FlagSet) {
	b.WriteString("| flag | default | meaning |\n|---|---|---|\n")
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "-" + f.Name
		if f.NoOptDefVal == "" {
			name += " " + f.Value.Type()
		}
		def := f.DefValue
		if def == "[]" || def == "false" {
			def = ""
		}
		if def != "" {
			def = "`" + cell(def) + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, def, cell(f.Usage))
	})
}
