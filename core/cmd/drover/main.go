// drover is the agent and its command line.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"

	"github.com/droverhq/drover/core/agent"
	"github.com/droverhq/drover/core/cli"
	"github.com/droverhq/drover/core/tasklog"
)

// Set when building a release.
var (
	version = "dev"
	commit  = "unknown"
)

func main() {
	ctx := context.Background()
	if len(os.Args) > 1 && os.Args[1] == "logs" && collector(os.Args[2:]) {
		os.Exit(tasklog.Main(ctx, os.Args[2:]))
	}
	if len(os.Args) < 2 || os.Args[1] != "agent" { // the agent handles signals itself
		var stop func()
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
	}
	os.Exit(cli.Run(ctx, cli.Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ(),
		Version: version, Commit: commit,
		Agent: func(ctx context.Context, args []string, stdout, stderr io.Writer) int {
			return agent.Main(ctx, args, version, stdout, stderr)
		},
	}))
}

// collector tells the log collector's own verb (`drover logs -socket PATH ...`, started by agents) from the short form
// of `drover alloc logs`.
func collector(args []string) bool {
	for _, a := range args {
		if a == "-socket" || a == "--socket" {
			return true
		}
	}
	return false
}
