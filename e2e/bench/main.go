// bench measures what docs/benchmarks.md promises, on the built binaries of one machine, and prints one line per
// figure with its budget. It judges nothing unless -check is given, because timings depend on the machine.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	bin := flag.String("bin", "../bin", "directory with drover and plugins/")
	tasks := flag.Int("tasks", 200, "tasks to start")
	samples := flag.Int("samples", 20, "single jobs to time")
	check := flag.Bool("check", false, "fail when a budget is missed")
	withDrivers := flag.Bool("drivers", true, "measure exec and docker too (needs root; docker its programs)")
	pairs := flag.Int("pairs", 5, "interleaved pairs of docker tasks and docker run")
	withNetworks := flag.Bool("networks", true, "measure what a bridge adds to a start (needs root)")
	flag.Parse()
	b := &bench{bin: *bin}
	err := b.run(*tasks, *samples)
	b.stop()
	if err == nil && *withDrivers {
		err = b.drivers(*pairs)
	}
	if err == nil && *withNetworks {
		err = b.networks(*samples)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if *check && b.missed > 0 {
		os.Exit(1)
	}
}

type bench struct {
	bin, dir, addr string
	agent          *exec.Cmd
	missed         int
}

// row prints one figure. A budget with "at most" is an upper bound.
func (b *bench) row(name string, value float64, unit string, budget float64, atMost bool) {
	mark, word := "ok", "at least"
	if atMost {
		word = "at most"
	}
	if budget == 0 {
		fmt.Printf("%-58s %10.2f %s\n", name, value, unit)
		return
	}
	if atMost && value > budget || !atMost && value < budget {
		mark = "MISSED"
		b.missed++
	}
	fmt.Printf("%-58s %10.2f %-8s %s %g: %s\n", name, value, unit, word, budget, mark)
}

func (b *bench) run(tasks, samples int) error {
	if err := b.start([]string{"drover-driver-raw-exec"}, "plugin \"raw_exec\" {\n config { enabled = true }\n}\n"); err != nil {
		return err
	}
	time.Sleep(3 * time.Second) // let start-up garbage go
	idle, err := b.memory()
	if err != nil {
		return err
	}
	b.row("idle agent, PSS", idle["agent"].pss, "MiB", 40, true)
	b.row("idle agent, private", idle["agent"].private, "MiB", 0, true)
	b.row("idle raw_exec plugin, PSS", idle["raw-exec"].pss, "MiB", 15, true)
	b.row("idle raw_exec plugin, private", idle["raw-exec"].private, "MiB", 0, true)
	b.row("idle, all Drover processes, PSS", idle["all"].pss, "MiB", 0, true)

	if err := b.single(samples); err != nil {
		return err
	}
	rate, err := b.many(tasks)
	if err != nil {
		return err
	}
	b.row(fmt.Sprintf("%d raw_exec sleeps: started per second", tasks), rate, "tasks/s", 100, false)
	time.Sleep(2 * time.Second)
	busy, err := b.memory()
	if err != nil {
		return err
	}
	b.row(fmt.Sprintf("memory per running task at %d tasks, all Drover PSS", tasks), (busy["all"].pss-idle["all"].pss)/float64(tasks), "MiB", 1.4, true)
	for _, part := range []string{"agent", "raw-exec", "keeper", "collector"} {
		b.row("  of which "+part+", PSS", busy[part].pss, "MiB", 0, true)
	}
	return b.gets()
}

// start runs an agent with some of the plugins: others would count as memory of the whole.
func (b *bench) start(plugins []string, config string) error {
	abs, err := filepath.Abs(b.bin)
	if err != nil {
		return err
	}
	b.bin = abs
	if b.dir, err = os.MkdirTemp("", "db"); err != nil {
		return err
	}
	var ports [3]int
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		ports[i] = ln.Addr().(*net.TCPAddr).Port
		ln.Close()
	}
	b.addr = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	conf := fmt.Sprintf("data_dir = %q\nports {\n http = %d\n rpc = %d\n serf = %d\n}\nserver { enabled = true }\nclient { enabled = true }\n%s",
		filepath.Join(b.dir, "data"), ports[0], ports[1], ports[2], config)
	file := filepath.Join(b.dir, "agent.hcl")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "plugins")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, name := range plugins {
		if err := copyFile(filepath.Join(b.bin, "plugins", name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	log, err := os.Create(filepath.Join(b.dir, "agent.log"))
	if err != nil {
		return err
	}
	b.agent = exec.Command(filepath.Join(b.bin, "drover"), "agent", "-config", file, "-plugin-dir", dir)
	b.agent.Stdout, b.agent.Stderr = log, log
	begin := time.Now()
	if err := b.agent.Start(); err != nil {
		return err
	}
	err = b.until(60*time.Second, func() (bool, error) {
		resp, err := http.Get(b.addr + "/v1/agent/health")
		if err != nil {
			return false, nil
		}
		resp.Body.Close()
		return resp.StatusCode == 200, nil
	})
	b.row("agent start until its node takes jobs", time.Since(begin).Seconds()*1000, "ms", 0, true)
	return err
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

// stop ends the tasks, the agent and everything that would live on.
func (b *bench) stop() {
	if b.agent == nil || b.agent.Process == nil {
		return
	}
	for _, id := range []string{"many", "single", "exec", "docker"} {
		b.call("DELETE", "/v1/job/"+id+"?purge=true", nil, nil)
	}
	b.over()
	b.agent.Process.Signal(os.Interrupt)
	b.agent.Wait()
	for _, p := range b.processes() {
		syscall.Kill(p.pid, syscall.SIGTERM)
	}
	b.until(10*time.Second, func() (bool, error) { return len(b.processes()) == 0, nil })
	for _, p := range b.processes() {
		syscall.Kill(p.pid, syscall.SIGKILL)
	}
	os.RemoveAll(b.dir)
}

// over waits until no allocation runs.
func (b *bench) over() error {
	return b.until(60*time.Second, func() (bool, error) {
		var allocs []struct{ ClientStatus string }
		if err := b.call("GET", "/v1/allocations", nil, &allocs); err != nil {
			return false, err
		}
		for _, a := range allocs {
			if a.ClientStatus == "running" || a.ClientStatus == "pending" {
				return false, nil
			}
		}
		return true, nil
	})
}

func (b *bench) until(limit time.Duration, done func() (bool, error)) error {
	deadline := time.Now().Add(limit)
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("gave up waiting after " + limit.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (b *bench) call(method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		buf, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = strings.NewReader(string(buf))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, b.addr+path, body)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != 200 {
		return fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
	if out == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, out)
}

func job(id string, count int) map[string]any {
	return map[string]any{"Job": map[string]any{
		"ID": id, "Type": "batch",
		"TaskGroups": []any{map[string]any{
			"Name": "g", "Count": count, "EphemeralDisk": map[string]any{"SizeMB": 11},
			"Tasks": []any{map[string]any{
				"Name": "t", "Driver": "raw_exec", "Config": map[string]any{"command": "/bin/sleep", "args": []string{"3600"}},
				"Resources": map[string]any{"CPU": 1, "MemoryMB": 10}, "LogConfig": map[string]any{"MaxFiles": 1, "MaxFileSizeMB": 1},
			}},
		}},
	}}
}

// watch follows a job's allocations with blocking queries until n run.
func (b *bench) watch(id string, n int) error {
	index := uint64(0)
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) {
		resp, err := http.Get(fmt.Sprintf("%s/v1/job/%s/allocations?index=%d&wait=10s", b.addr, id, index))
		if err != nil {
			return err
		}
		var allocs []struct{ ClientStatus string }
		err = json.NewDecoder(resp.Body).Decode(&allocs)
		resp.Body.Close()
		if err != nil {
			return err
		}
		index, _ = strconv.ParseUint(resp.Header.Get("X-Nomad-Index"), 10, 64)
		running := 0
		for _, a := range allocs {
			switch a.ClientStatus {
			case "running":
				running++
			case "failed", "lost":
				return fmt.Errorf("an allocation of %s is %s", id, a.ClientStatus)
			}
		}
		if running == n {
			return nil
		}
	}
	return fmt.Errorf("%s: not %d running within two minutes", id, n)
}

// single times one task from submission to the moment a watcher sees it running.
func (b *bench) single(samples int) error {
	var times []float64
	for i := range samples {
		id := fmt.Sprintf("single-%d", i)
		begin := time.Now()
		if err := b.call("PUT", "/v1/jobs", job(id, 1), nil); err != nil {
			return err
		}
		if err := b.watch(id, 1); err != nil {
			return err
		}
		times = append(times, float64(time.Since(begin).Microseconds())/1000)
		if err := b.call("DELETE", "/v1/job/"+id+"?purge=true", nil, nil); err != nil {
			return err
		}
		if err := b.until(20*time.Second, func() (bool, error) {
			var allocs []struct{ JobID, ClientStatus string }
			err := b.call("GET", "/v1/allocations", nil, &allocs)
			for _, a := range allocs {
				if a.JobID == id && (a.ClientStatus == "running" || a.ClientStatus == "pending") {
					return false, err
				}
			}
			return true, err
		}); err != nil {
			return err
		}
	}
	sort.Float64s(times)
	b.row("submit to running, one task, p50", times[len(times)/2], "ms", 60, true)
	b.row("submit to running, one task, max", times[len(times)-1], "ms", 0, true)
	return nil
}

func (b *bench) many(n int) (perSecond float64, err error) {
	begin := time.Now()
	if err := b.call("PUT", "/v1/jobs", job("many", n), nil); err != nil {
		return 0, err
	}
	if err := b.watch("many", n); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

// gets times reads while the tasks run.
func (b *bench) gets() error {
	for _, path := range []string{"/v1/job/many", "/v1/jobs", "/v1/job/many/allocations", "/v1/nodes"} {
		var times []float64
		for range 200 {
			begin := time.Now()
			if err := b.call("GET", path, nil, nil); err != nil {
				return err
			}
			times = append(times, float64(time.Since(begin).Microseconds())/1000)
		}
		sort.Float64s(times)
		b.row("GET "+path+", p50", times[100], "ms", 0, true)
		b.row("GET "+path+", p99", times[197], "ms", 0, true)
	}
	return nil
}

type usage struct{ pss, private float64 } // MiB

type process struct {
	pid  int
	part string
}

// processes are the agent and everything it started except tasks.
func (b *bench) processes() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		cmd, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		env, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		text := strings.ReplaceAll(string(cmd), "\x00", " ")
		exe, _ := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if len(cmd) == 0 || strings.Contains(string(env), "NOMAD_ALLOC_ID=") {
			continue
		}
		switch {
		case b.agent != nil && b.agent.Process != nil && pid == b.agent.Process.Pid:
			out = append(out, process{pid, "agent"})
		case strings.Contains(exe, b.dir) || strings.Contains(text, b.dir) || strings.Contains(string(env), b.dir):
			part := strings.TrimPrefix(filepath.Base(exe), "drover-driver-")
			if strings.Contains(text, " keep") {
				part = "keeper"
			} else if strings.Contains(text, " logs") {
				part = "collector"
			}
			out = append(out, process{pid, part})
		}
	}
	return out
}

func (b *bench) memory() (map[string]usage, error) {
	out := map[string]usage{}
	for _, p := range b.processes() {
		f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
		if err != nil {
			continue
		}
		var u usage
		sc := bufio.NewScanner(f)
		for sc.Scan() {
			fields := strings.Fields(sc.Text())
			if len(fields) < 2 {
				continue
			}
			kb, _ := strconv.ParseFloat(fields[1], 64)
			switch fields[0] {
			case "Pss:":
				u.pss += kb / 1024
			case "Private_Clean:", "Private_Dirty:":
				u.private += kb / 1024
			}
		}
		f.Close()
		for _, k := range []string{p.part, "all"} {
			o := out[k]
			out[k] = usage{o.pss + u.pss, o.private + u.private}
		}
	}
	if out["agent"].pss == 0 {
		return nil, errors.New("cannot read the agent's memory from /proc")
	}
	return out, nil
}
