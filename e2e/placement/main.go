// placement measures placing end to end: one server with its log on disk (fsync), thousands of simulated nodes that
// acknowledge running (drover-nodesim), and jobs submitted over HTTP. It prints committed and acknowledged allocations per
// second, the time from submit to placed, and what a placement costs the server.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// options are what is measured.
type options struct {
	bin, typ                        string
	nodes, jobs, count, submitters  int
	spread, constraints, deployment bool
	profile, server                 string
	timeout                         time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "../bin", "directory with drover and drover-nodesim")
	flag.IntVar(&o.nodes, "nodes", 5000, "simulated nodes")
	flag.IntVar(&o.jobs, "jobs", 100, "jobs")
	flag.IntVar(&o.count, "count", 100, "instances of each")
	flag.IntVar(&o.submitters, "submitters", 16, "jobs submitted at the same time")
	flag.StringVar(&o.typ, "type", "service", "service or batch")
	flag.BoolVar(&o.spread, "spread", false, "spread over 50 racks")
	flag.BoolVar(&o.constraints, "constraints", false, "two constraints in each job")
	flag.BoolVar(&o.deployment, "deployment", false, "services with a deployment")
	flag.StringVar(&o.profile, "profile", "", "write profiles of the server's processor time and, with .allocs added, of what it allocated here")
	flag.StringVar(&o.server, "server", "", "more lines for the server block, such as num_schedulers = 8")
	flag.DurationVar(&o.timeout, "timeout", 15*time.Minute, "give up after")
	flag.Parse()
	signal.Ignore(syscall.SIGPIPE) // whoever reads may go away; what was started must end all the same
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	b := &bench{options: o}
	err := b.run(ctx)
	b.stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "placement:", err)
		os.Exit(1)
	}
}

type bench struct {
	options
	dir, addr  string
	agent, sim *exec.Cmd
	simIn      io.Closer

	mu    sync.Mutex
	acked int
	more  chan struct{} // closed and made anew when acked changed
}

func (b *bench) run(ctx context.Context) error {
	if err := b.start(ctx); err != nil {
		return err
	}
	before, err := b.memory(ctx)
	if err != nil {
		return err
	}
	logBefore := b.logSize()
	if b.profile != "" {
		wait := b.profiling(ctx)
		defer wait()
	}
	begin := time.Now()
	placed, err := b.submit(ctx)
	if err != nil {
		return err
	}
	last := time.Since(begin)
	total := b.jobs * b.count
	fmt.Printf("%-46s %12.0f /s   %d in %.2f s\n", "committed placements", float64(total)/last.Seconds(), total, last.Seconds())
	if err := b.running(ctx, total); err != nil {
		return err
	}
	acked := time.Since(begin)
	fmt.Printf("%-46s %12.0f /s   in %.2f s\n", "acknowledged running", float64(total)/acked.Seconds(), acked.Seconds())
	slices.Sort(placed)
	fmt.Printf("%-46s %12.1f ms\n", "submit to placed, p50", ms(placed[len(placed)/2]))
	fmt.Printf("%-46s %12.1f ms\n", "submit to placed, p99", ms(placed[len(placed)*99/100]))
	after, err := b.memory(ctx)
	if err != nil {
		return err
	}
	per := func(name string, what string, unit string) {
		fmt.Printf("%-46s %12.0f %s\n", name, float64(after[what]-before[what])/float64(total), unit)
	}
	per("server, allocated per placement, running too", "TotalAlloc", "B")
	per("server, allocations per placement", "Mallocs", "")
	per("server, live heap per placement", "HeapAlloc", "B")
	fmt.Printf("%-46s %12.0f B\n", "log per placement", float64(b.logSize()-logBefore)/float64(total))
	fmt.Printf("%-46s %12.0f MiB\n", "server, resident", b.resident())
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// start runs server and nodes and waits until all nodes are registered.
func (b *bench) start(ctx context.Context) (err error) {
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "dp"); err != nil {
		return err
	}
	var ports [3]int
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		ports[i] = ln.Addr().(*net.TCPAddr).Port
		defer ln.Close()
		ln.Close()
	}
	b.addr = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	conf := fmt.Sprintf("data_dir = %q\nbind_addr = \"127.0.0.1\"\nenable_debug = true\nlog_level = \"WARN\"\nports {\n http = %d\n rpc = %d\n serf = %d\n}\n"+
		"server {\n enabled = true\n bootstrap_expect = 1\n event_buffer_size = 100000\n%s\n}\nclient { enabled = false }\n", filepath.Join(b.dir, "data"), ports[0], ports[1], ports[2], b.server)
	file := filepath.Join(b.dir, "agent.hcl")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(b.dir, "agent.log"))
	if err != nil {
		return err
	}
	b.agent = exec.Command(filepath.Join(b.bin, "drover"), "agent", "-config", file)
	b.agent.Stdout, b.agent.Stderr = log, log
	if err := b.agent.Start(); err != nil {
		return err
	}
	for {
		var leader string
		if err := b.call(ctx, "GET", "/v1/status/leader", nil, &leader); err == nil && leader != "" {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no server: see %s: %w", log.Name(), ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return b.startNodes(ctx, ports[1])
}

func (b *bench) startNodes(ctx context.Context, rpc int) error {
	b.more = make(chan struct{})
	b.sim = exec.Command(filepath.Join(b.bin, "drover-nodesim"), "-server", fmt.Sprintf("127.0.0.1:%d", rpc), "-nodes", strconv.Itoa(b.nodes))
	b.sim.Stderr = os.Stderr
	in, err := b.sim.StdinPipe()
	if err != nil {
		return err
	}
	b.simIn = in
	out, err := b.sim.StdoutPipe()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := b.sim.Start(); err != nil {
		return err
	}
	ready := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var received, acked int
			if strings.HasPrefix(lines.Text(), "ready ") {
				ready <- nil
			} else if _, err := fmt.Sscanf(lines.Text(), "received %d acked %d", &received, &acked); err == nil {
				b.mu.Lock()
				b.acked = acked
				close(b.more)
				b.more = make(chan struct{})
				b.mu.Unlock()
			}
		}
		ready <- fmt.Errorf("the simulated nodes ended")
	}()
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		fmt.Printf("%-46s %12.0f /s   %d\n", "nodes registered", float64(b.nodes)/time.Since(begin).Seconds(), b.nodes)
	}
	return err
}

// running waits until that many allocations are acknowledged.
func (b *bench) running(ctx context.Context, total int) error {
	for {
		b.mu.Lock()
		acked, more := b.acked, b.more
		b.mu.Unlock()
		if acked >= total {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d acknowledged: %w", acked, total, ctx.Err())
		}
	}
}

// submit registers all jobs and returns how long each took from its submit until the plan that places all its instances
// was committed, which is when its evaluation is complete.
func (b *bench) submit(ctx context.Context) ([]time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan string, b.jobs)
	failed := make(chan error, b.jobs+1)
	events, err := b.follow(ctx)
	if err != nil {
		return nil, err
	}
	defer events.Close()
	go func() { failed <- completed(events, done) }()
	var mu sync.Mutex
	begun := make(map[string]time.Time, b.jobs)
	work := make(chan string)
	for range b.submitters {
		go func() {
			for id := range work {
				mu.Lock()
				begun[id] = time.Now()
				mu.Unlock()
				if err := b.call(ctx, "PUT", "/v1/jobs", map[string]any{"Job": b.job(id)}, nil); err != nil {
					failed <- err
				}
			}
		}()
	}
	go func() {
		defer close(work)
		for i := range b.jobs {
			select {
			case work <- fmt.Sprintf("job-%05d", i):
			case <-ctx.Done():
				return
			}
		}
	}()
	times := make([]time.Duration, 0, b.jobs)
	for len(times) < b.jobs {
		select {
		case id := <-done:
			mu.Lock()
			times = append(times, time.Since(begun[id]))
			mu.Unlock()
		case err := <-failed:
			return nil, fmt.Errorf("%d of %d jobs placed: %w", len(times), b.jobs, err)
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d jobs placed: %w", len(times), b.jobs, ctx.Err())
		}
	}
	return times, nil
}

// follow opens the stream of evaluations.
func (b *bench) follow(ctx context.Context) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", b.addr+"/v1/event/stream?topic=Evaluation", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != 200 {
		return nil, fmt.Errorf("event stream: %s", resp.Status)
	}
	return resp.Body, nil
}

// completed sends the jobs whose evaluation placed everything.
func completed(events io.Reader, done chan<- string) error {
	d := json.NewDecoder(events)
	for {
		var batch struct {
			Events []struct {
				Payload struct {
					Evaluation struct {
						JobID, Status, TriggeredBy string
						FailedTGAllocs             map[string]any
					}
				}
			}
		}
		if err := d.Decode(&batch); err != nil {
			return fmt.Errorf("event stream: %w", err)
		}
		for _, e := range batch.Events {
			v := e.Payload.Evaluation
			switch {
			case v.Status != "complete" || v.TriggeredBy != "job-register":
			case len(v.FailedTGAllocs) > 0:
				return fmt.Errorf("job %s was not placed in full: %v", v.JobID, v.FailedTGAllocs)
			default:
				done <- v.JobID
			}
		}
	}
}

func (b *bench) job(id string) map[string]any {
	group := map[string]any{
		"Name": "g", "Count": b.count,
		"EphemeralDisk": map[string]any{"SizeMB": 101},
		"Tasks": []any{map[string]any{
			"Name": "t", "Driver": "sim", "Resources": map[string]any{"CPU": 20, "MemoryMB": 20},
		}},
	}
	if b.spread {
		group["Spreads"] = []any{map[string]any{"Attribute": "${meta.rack}", "Weight": 100}}
	}
	if b.constraints {
		group["Constraints"] = []any{
			map[string]any{"LTarget": "${attr.kernel.name}", "Operand": "=", "RTarget": "linux"},
			map[string]any{"LTarget": "${meta.disk}", "Operand": "regexp", "RTarget": "^ss"},
		}
	}
	j := map[string]any{"ID": id, "Name": id, "Type": b.typ, "Datacenters": []string{"*"}, "TaskGroups": []any{group}}
	if b.typ == "service" && !b.deployment {
		group["Update"] = map[string]any{"MaxParallel": 0}
	}
	return j
}

func (b *bench) call(ctx context.Context, method, path string, body, into any) error {
	var r io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, b.addr+path, r)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != 200 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, raw)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(raw, into)
}

// memory reads the server's counters after a collection.
func (b *bench) memory(ctx context.Context) (map[string]int64, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", b.addr+"/v1/agent/pprof/heap?debug=1&gc=1", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out := map[string]int64{}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "# "), " = "); ok {
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				out[name] = n
			}
		}
	}
	if out["TotalAlloc"] == 0 {
		return nil, fmt.Errorf("the server's heap profile has no counters: %s", resp.Status)
	}
	return out, lines.Err()
}

// profiling writes a profile of the first seconds' processor time; wait returns when it and that of allocations are
// written.
func (b *bench) profiling(ctx context.Context) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.fetch(ctx, "profile?seconds=5", b.profile)
	}()
	return func() {
		<-done
		b.fetch(ctx, "allocs", b.profile+".allocs")
	}
}

// fetch stores one of the server's profiles.
func (b *bench) fetch(ctx context.Context, name, file string) {
	err := func() error {
		req, err := http.NewRequestWithContext(ctx, "GET", b.addr+"/v1/agent/pprof/"+name, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(f, resp.Body)
		return err
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
	}
}

// logSize is how far the files of the server's log reach.
func (b *bench) logSize() (sum int64) {
	filepath.Walk(filepath.Join(b.dir, "data", "server"), func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

// resident is the server's memory in MiB.
func (b *bench) resident() float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.agent.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

func (b *bench) stop() {
	if b.simIn != nil {
		b.simIn.Close()
		b.sim.Wait()
	}
	if b.agent != nil && b.agent.Process != nil {
		b.agent.Process.Signal(os.Interrupt)
		b.agent.Wait()
	}
	os.RemoveAll(b.dir)
}
