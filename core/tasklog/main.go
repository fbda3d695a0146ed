package tasklog

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const defaultIdle = 30 * time.Second

// exitAnother is the exit code of a collector that found another one at work.
const exitAnother = 3

// Main is the collector process behind the hidden verb "drover logs -socket PATH -state DIR [-idle D]"; args are what
// follows the verb. It returns the exit code. Call it before anything else that costs memory: it lives as long as the
// node's tasks.
//
// The process prints "ready" on stdout once its socket answers, and logs on stderr.
func Main(ctx context.Context, args []string) int {
	o, err := parseArgs(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "logs:", err)
		return 2
	}
	o.fail = builtinFailpoint()
	return serveProcess(ctx, o)
}

func parseArgs(args []string) (options, error) {
	o := options{stallLimit: stallLimit}
	flags := flag.NewFlagSet("logs", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.socket, "socket", "", "path of the unix socket to serve, in a directory of mode 0700")
	flags.StringVar(&o.state, "state", "", "directory that remembers the open streams")
	flags.DurationVar(&o.idle, "idle", defaultIdle, "end after holding no stream and having no client for this long")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if !filepath.IsAbs(o.socket) || !filepath.IsAbs(o.state) || flags.NArg() > 0 {
		return o, errors.New("-socket and -state must be absolute paths, nothing else may follow")
	}
	return o, nil
}

// serveProcess runs a collector as this whole process.
func serveProcess(ctx context.Context, o options) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	signal.Ignore(syscall.SIGHUP)
	o.log = os.Stderr
	o.ready = func() {
		fmt.Fprintln(os.Stdout, "ready")
		releaseStdout() // whoever launched us waits for the end of it
	}
	beHelper()
	err := run(ctx, o)
	switch {
	case errors.Is(err, errAnother):
		fmt.Fprintln(os.Stderr, "logs:", err)
		return exitAnother
	case err != nil:
		fmt.Fprintln(os.Stderr, "logs:", err)
		return 1
	}
	return 0
}
