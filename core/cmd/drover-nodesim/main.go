// drover-nodesim simulates a fleet against a server, for benchmarks (make bench-placement). It prints "ready N" once all
// nodes are registered, then a line "received N acked N" whenever that changed, at most every 50 ms, and ends when its
// standard input does.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/droverhq/drover/core/nodesim"
)

func main() {
	cfg := nodesim.Config{}
	flag.StringVar(&cfg.Server, "server", "127.0.0.1:4647", "RPC address of a server")
	flag.IntVar(&cfg.Nodes, "nodes", 1000, "how many nodes")
	flag.IntVar(&cfg.Racks, "racks", 50, "distinct values of ${meta.rack}")
	flag.Int64Var(&cfg.CPU, "cpu", 100_000, "MHz of each node")
	flag.Int64Var(&cfg.Memory, "memory", 262_144, "MB of each node")
	flag.DurationVar(&cfg.Batch, "batch", 50*time.Millisecond, "how long a node gathers reports")
	flag.IntVar(&cfg.Joins, "joins", 64, "nodes that register at the same time")
	flag.Parse()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := run(ctx, cfg); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "drover-nodesim:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cfg nodesim.Config) error {
	f, err := nodesim.Start(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Println("ready", f.Ready.Load())
	var last [2]int64
	for ctx.Err() == nil {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
		if now := [2]int64{f.Received.Load(), f.Acked.Load()}; now != last {
			fmt.Println("received", now[0], "acked", now[1])
			last = now
		}
	}
	f.Wait()
	return nil
}
