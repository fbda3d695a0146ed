package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Env is the world a command runs in; tests replace it.
type Env struct {
	Args    []string // without the program's name
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(string) string
	Environ []string // NAME=value, for variables of job files
	Version string
	Commit  string

	// Agent runs the agent command; it lives in package agent, which the commands do not need otherwise.
	Agent func(ctx context.Context, args []string, stdout, stderr io.Writer) int
}

// exitError ends with a code of its own. An empty text prints nothing.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// Run runs one command and returns the exit code.
func Run(ctx context.Context, env Env) int {
	root := newRoot(&env)
	args, err := normalize(root, env.Args)
	if err == nil {
		root.SetArgs(args)
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		return 0
	}
	var ee *exitError
	if errors.As(err, &ee) {
		if ee.text != "" {
			fmt.Fprintln(env.Stderr, ee.text)
		}
		return ee.code
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return 130
	}
	fmt.Fprintln(env.Stderr, "Error:", err)
	return 1
}

// app is what commands share.
type app struct {
	*Env
	client clientFlags
}

func newRoot(env *Env) *cobra.Command {
	a := &app{Env: env}
	root := &cobra.Command{
		Use:           "drover",
		Short:         "Runs workloads of every kind on a fleet of machines",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       env.Version,
	}
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetIn(env.Stdin)
	root.SetVersionTemplate("Drover {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	a.client.add(root.PersistentFlags())

	for _, group := range []func(*app) []*cobra.Command{
		jobCommands, allocCommands, nodeCommands, evalCommands, deploymentCommands, pluginCommands, serviceCommands, scalingCommands,
		serverCommands, operatorCommands, systemCommands, namespaceCommands, agentCommands, windowsCommands, tlsCommands,
	} {
		root.AddCommand(group(a)...)
	}
	root.AddCommand(aliases(a)...)
	return root
}

// aliases are the short forms at the top level.
func aliases(a *app) []*cobra.Command {
	return []*cobra.Command{
		jobRun(a), jobPlan(a), jobStop(a), jobStart(a), jobValidate(a), jobInit(a), jobInspect(a), statusCommand(a),
		allocExec(a), allocLogs(a), allocFS(a), jobAction(a), hidden(renamed(allocStatus(a), "alloc-status")),
		hidden(renamed(evalStatus(a), "eval-status")), hidden(renamed(nodeStatus(a), "node-status")),
		hidden(renamed(nodeDrain(a), "node-drain")), hidden(renamed(serverMembers(a), "server-members")),
	}
}

func renamed(c *cobra.Command, name string) *cobra.Command {
	_, rest, _ := strings.Cut(c.Use, " ")
	c.Use = strings.TrimSpace(name + " " + rest)
	return c
}

func hidden(c *cobra.Command) *cobra.Command {
	c.Hidden = true
	return c
}

// parent is a command that only holds others.
func parent(name, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, RunE: func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q for %q; see %s -help", args[0], c.CommandPath(), c.CommandPath())
		}
		return c.Help()
	}}
	c.AddCommand(children...)
	return c
}

// passthrough marks commands whose arguments after the first belong to another program.
const passthrough = "passthrough"

// normalize rewrites "-flag" to "--flag" where the command knows the flag, so that one dash works for long names.
func normalize(root *cobra.Command, args []string) ([]string, error) {
	out := make([]string, 0, len(args))
	cmd := root
	positional := 0
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(out, args[i:]...), nil
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			if sub := child(cmd, arg); sub != nil && positional == 0 {
				if cmd = sub; cmd.DisableFlagParsing { // it reads its arguments itself
					return append(out, args[i:]...), nil
				}
			} else {
				positional++
				if cmd.Annotations[passthrough] != "" {
					return append(append(out, "--"), args[i:]...), nil
				}
			}
			out = append(out, arg)
			continue
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		f := lookup(cmd, name)
		if f == nil {
			switch name {
			case "h", "help":
				out = append(out, "--help")
				continue
			case "v", "version":
				if cmd == root {
					out = append(out, "--version")
					continue
				}
			}
			out = append(out, arg)
			continue
		}
		out = append(out, "--"+strings.TrimLeft(arg, "-"))
		if !hasValue && f.NoOptDefVal == "" && i+1 < len(args) {
			i++
			out = append(out, args[i])
		}
	}
	return out, nil
}

func child(cmd *cobra.Command, name string) *cobra.Command {
	for _, c := range cmd.Commands() {
		if c.Name() == name || c.HasAlias(name) {
			return c
		}
	}
	return nil
}

func lookup(cmd *cobra.Command, name string) *pflag.Flag {
	if f := cmd.Flags().Lookup(name); f != nil {
		return f
	}
	if f := cmd.PersistentFlags().Lookup(name); f != nil {
		return f
	}
	return cmd.InheritedFlags().Lookup(name)
}

// env reads DROVER_<name> and falls back to NOMAD_<name>.
func (e *Env) env(name string) string {
	get := e.Getenv
	if get == nil {
		get = os.Getenv
	}
	if v := get("DROVER_" + name); v != "" {
		return v
	}
	return get("NOMAD_" + name)
}
