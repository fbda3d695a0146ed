// playground starts three servers and two nodes, each in a network namespace of its own, and prints where to reach them.
// Everything is gone when it ends, by Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/droverhq/drover/e2e/netlab"
)

const (
	servers = 3
	nodes   = 2
	ready   = time.Minute      // for all agents to answer
	ending  = 20 * time.Second // for one to end in good order
)

func main() {
	bin := flag.String("bin", "../bin", "directory with drover and plugins/")
	once := flag.Bool("once", false, "end as soon as everything works instead of waiting for Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := play(ctx, *bin, *once)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// agent is one of the processes.
type agent struct {
	name, addr string
	cmd        *exec.Cmd
	log        *os.File
	ended      chan struct{}
}

func play(ctx context.Context, bin string, once bool) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root: sudo make cluster")
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "drc") // short: sockets lie below it
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	wire, err := netlab.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, wire.Close()) }()
	var names, join, rpc []string
	for i := range servers + nodes {
		name := fmt.Sprintf("server-%d", i+1)
		if i >= servers {
			name = fmt.Sprintf("node-%d", i-servers+1)
		}
		addr, err := wire.Host(name)
		if err != nil {
			return err
		}
		names = append(names, name)
		if i < servers {
			join, rpc = append(join, fmt.Sprintf("%q", addr)), append(rpc, fmt.Sprintf("%q", addr+":4647"))
		}
	}
	var agents []*agent
	defer func() {
		stopJobs(agents)
		for _, a := range agents {
			a.cmd.Process.Signal(os.Interrupt)
		}
		for _, a := range agents {
			a.wait()
		}
		endRest(wire, names)
		for _, name := range names {
			removeRun(filepath.Join(dir, name, "data"))
		}
	}()
	for i, name := range names {
		part := fmt.Sprintf("server {\n enabled = true\n bootstrap_expect = %d\n server_join {\n  retry_join = [%s]\n  retry_interval = \"1s\"\n }\n}\n", servers, strings.Join(join, ", "))
		if i >= servers {
			part = fmt.Sprintf("client {\n enabled = true\n network_interface = \"eth0\"\n servers = [%s]\n}\nplugin \"raw_exec\" {\n config {\n  enabled = true\n }\n}\n", strings.Join(rpc, ", "))
		}
		a, err := start(wire, name, filepath.Join(dir, name), bin, part)
		if err != nil {
			return err
		}
		agents = append(agents, a)
	}
	for _, a := range agents {
		if err := a.answers(ctx); err != nil {
			return err
		}
	}
	tell(os.Stdout, wire, bin, agents)
	if once {
		return nil
	}
	<-ctx.Done()
	fmt.Println("\nending")
	return nil
}

func start(wire *netlab.Wire, name, dir, bin, part string) (*agent, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	a := &agent{name: name, addr: wire.Address(name), ended: make(chan struct{})}
	file := filepath.Join(dir, "agent.hcl")
	text := fmt.Sprintf("name = %q\nbind_addr = %q\ndata_dir = %q\nplugin_dir = %q\n", name, a.addr, filepath.Join(dir, "data"), filepath.Join(bin, "plugins")) + part
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	var err error
	if a.log, err = os.Create(filepath.Join(dir, "agent.log")); err != nil {
		return nil, err
	}
	a.cmd = exec.Command("nsenter", "--net="+wire.NetNS(name), filepath.Join(bin, "drover"), "agent", "-config", file) // nsenter becomes the agent
	a.cmd.Stdout, a.cmd.Stderr = a.log, a.log
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this program
	if err := a.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = a.cmd.Wait()
		close(a.ended)
	}()
	return a, nil
}

// answers waits until the agent says that it is well.
func (a *agent) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.addr+":4646/v1/agent/health", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-a.ended:
			return fmt.Errorf("%s ended: %s", a.name, a.last())
		case <-ctx.Done():
			return fmt.Errorf("%s is not well: %w: %s", a.name, ctx.Err(), a.last())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// last is the end of its log.
func (a *agent) last() string {
	text, err := os.ReadFile(a.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

func (a *agent) wait() {
	select {
	case <-a.ended:
	case <-time.After(ending):
		_ = a.cmd.Process.Kill()
		<-a.ended
	}
	a.log.Close()
}

func tell(w io.Writer, wire *netlab.Wire, bin string, agents []*agent) {
	fmt.Fprintf(w, "\nThree servers and two nodes, each with a network namespace of its own:\n\n")
	for _, a := range agents {
		fmt.Fprintf(w, "  %-9s http://%s:4646   pid %-7d log %s\n", a.name, a.addr, a.cmd.Process.Pid, a.log.Name())
	}
	fmt.Fprintf(w, `
Any of them answers:

  export DROVER_ADDR=http://%s:4646
  %s server members
  %s node status

Kill the leader (kill -9 PID) and ask another one, or go into a machine: nsenter --net=%s bash
Ctrl-C ends everything and removes it.
`, agents[0].addr, filepath.Join(bin, "drover"), filepath.Join(bin, "drover"), wire.NetNS(agents[servers].name))
}
