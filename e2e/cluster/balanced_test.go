package cluster

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// load asks an address all the time.
type load struct {
	url  string
	stop chan struct{}
	wg   sync.WaitGroup

	mu     sync.Mutex
	asked  int
	failed []string
	slow   time.Duration
	seen   map[string]int // answers by greeting
}

// askers ask at a time, each again this soon after an answer.
const (
	askers   = 4
	askAgain = 10 * time.Millisecond
)

func startLoad(t *testing.T, url string) *load {
	l := &load{url: url, stop: make(chan struct{}), seen: map[string]int{}}
	for range askers {
		l.wg.Go(func() {
			c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			for {
				l.ask(c)
				select {
				case <-l.stop:
					return
				case <-time.After(askAgain):
				}
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.wg.Wait()
}

func (l *load) ask(c *http.Client) {
	began := time.Now()
	greeting, err := fetch(c, l.url)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	l.slow = max(l.slow, time.Since(began))
	l.seen[greeting]++
	if err != nil {
		l.failed = append(l.failed, fmt.Sprintf("%s: %v", began.Format("15:04:05.000"), err))
	}
}

func fetch(c *http.Client, url string) (greeting string, err error) {
	resp, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, b)
	}
	greeting, _, _ = strings.Cut(string(b), " ")
	return greeting, err
}

// passed ends a chapter: it says how the requests since the last one went, and starts counting anew.
func (l *load) passed(t *testing.T, what string, began time.Time, allowed int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%-28s %6v  %5d requests, %d failed, slowest %v", what, time.Since(began).Round(100*time.Millisecond), l.asked, len(l.failed), l.slow.Round(time.Millisecond))
	if l.asked == 0 || len(l.failed) > allowed {
		t.Errorf("%s: of %d requests %d failed, at most %d may:\n%s", what, l.asked, len(l.failed), allowed, strings.Join(l.failed, "\n"))
	}
	l.asked, l.failed, l.slow, l.seen = 0, nil, 0, map[string]int{}
}

func (l *load) answeredBy(greeting string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[greeting]
}

// The service of docs/examples loses no request behind haproxy while it is updated, tried with a canary, taken back,
// drained and loses a node, but for those under way to an instance of that node.
func TestNoRequestIsLost(t *testing.T) {
	if _, err := os.Stat("/usr/sbin/haproxy"); err != nil {
		t.Fatal("haproxy is not installed: make deps")
	}
	count := 3
	if os.Getenv("DROVER_TIER") == "soak" {
		count = 6
	}
	ports := harness.FreePorts(t)
	server := harness.Start(t, harness.Options{Ports: ports, NoRawExec: true,
		Server: "bootstrap_expect = 1\nmin_heartbeat_ttl = \"1s\"\nheartbeat_grace = \"5s\""})
	nodes := map[string]*harness.Agent{}
	for i, name := range []string{"a", "b"} {
		parent := cgroupOfOne(t, name)
		first := 15000 + 2000*i // other tests' agents choose from 20000 up, and do not know of these
		nodes[name] = harness.Start(t, harness.Options{Config: fmt.Sprintf("name = %q\n", name), Client: fmt.Sprintf(
			"servers = [\"127.0.0.1:%d\"]\ncgroup_parent = %q\nmin_dynamic_port = %d\nmax_dynamic_port = %d", ports.RPC, parent, first, first+1999)})
	}
	var list []struct{ ID, Name string }
	if err := server.Get("/v1/nodes", &list); err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	ids := map[string]string{}
	for _, n := range list {
		ids[n.Name] = n.ID
	}
	examples := filepath.Join(filepath.Dir(harness.Bin(t)), "docs", "examples")
	run := func(vars ...string) (out string, code int) {
		t.Helper()
		args := []string{"job", "run", "-var", "web=" + filepath.Join(harness.Bin(t), "examples", "hello-web"), "-var", fmt.Sprint("count=", count)}
		for _, v := range vars {
			args = append(args, "-var", v)
		}
		out, errs, code := server.CLI(append(args, filepath.Join(examples, "balanced.nomad.hcl"))...)
		return out + errs, code
	}
	must := func(vars ...string) {
		t.Helper()
		if out, code := run(vars...); code != 0 {
			t.Fatalf("job run %v: exit %d\n%s", vars, code, out)
		}
	}
	server.MustCLI("job", "run", "-var", "node=^a$", filepath.Join(examples, "haproxy.nomad.hcl"))
	must()
	url := balancer(t, server)
	l := startLoad(t, url)
	until := func(greeting string) {
		t.Helper()
		server.Eventually(time.Minute, "an answer of "+greeting, func() error {
			if l.answeredBy(greeting) == 0 {
				return fmt.Errorf("none")
			}
			return nil
		})
	}
	until("one")
	began := time.Now()
	chapter := func(what string, allowed int) {
		t.Helper()
		l.passed(t, what, began, allowed)
		began = time.Now()
	}
	chapter("nothing happens", 0)

	must("greeting=two")
	until("two")
	chapter("rolling update", 0)

	must("greeting=three", "canary=1")
	until("three")
	if l.answeredBy("two") == 0 {
		t.Error("the old instances do not answer beside the canary")
	}
	chapter("canary", 0)
	server.MustCLI("job", "promote", "balanced")
	chapter("promotion", 0)

	if out, code := run("greeting=four", "web=/bin/false"); code != 1 || !strings.Contains(out, "rolling back to job version") {
		t.Errorf("the bad version: exit %d\n%s", code, out)
	}
	if n := l.answeredBy("four"); n > 0 {
		t.Errorf("%d answers of the bad version", n)
	}
	chapter("failing version, taken back", 0)

	server.MustCLI("node", "drain", "-enable", "-yes", "-deadline", "2m", ids["b"])
	chapter("drain of a node", 0)
	server.MustCLI("node", "drain", "-disable", "-yes", ids["b"])
	server.MustCLI("node", "eligibility", "-enable", ids["b"])
	must("greeting=five")
	chapter("update to both nodes", 0)

	onB := map[string]bool{}
	for _, al := range server.Allocs("balanced") {
		if al.NodeID == ids["b"] && al.ClientStatus == "running" && al.DesiredStatus == "run" {
			onB[al.ID] = true
		}
	}
	if len(onB) == 0 {
		t.Fatal("nothing runs on the node that is to be killed")
	}
	pids := nodes["b"].TaskPIDs()
	nodes["b"].Kill9()
	for id := range onB {
		for _, pid := range pids[id] {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	server.Eventually(time.Minute, "the node's instances are replaced", func() error {
		n := 0
		for _, al := range server.Allocs("balanced") {
			if al.NodeID == ids["a"] && al.ClientStatus == "running" && al.DesiredStatus == "run" {
				n++
			}
		}
		if n != count {
			return fmt.Errorf("%d of %d run on the other node", n, count)
		}
		return nil
	})
	chapter("a node is killed", askers)
	l.end()
	nodes["b"].Run() // it cleans up what it left
	nodes["b"].WaitReady()
	server.MustCLI("job", "stop", "-purge", "balanced", "haproxy")
}

// cgroupOfOne is a cgroup parent for one agent: several on a machine would share one, and clean it up for each other.
func cgroupOfOne(t *testing.T, name string) string {
	parent := fmt.Sprintf("drover-e2e-%s-%d", name, os.Getpid())
	t.Cleanup(func() {
		for _, below := range []string{"share", "reserve", ""} {
			os.Remove(filepath.Join("/sys/fs/cgroup/cpuset", parent, below))
			os.Remove(filepath.Join("/sys/fs/cgroup", parent, below+".slice"))
		}
	})
	return parent
}

// balancer is where haproxy listens.
func balancer(t *testing.T, a *harness.Agent) (url string) {
	a.Eventually(time.Minute, "haproxy is in the catalog and answers", func() error {
		var regs []struct {
			Address string
			Port    int
		}
		if err := a.Get("/v1/service/haproxy", &regs); err != nil || len(regs) != 1 {
			return fmt.Errorf("%v, %w", regs, err)
		}
		url = fmt.Sprintf("http://%s:%d/", regs[0].Address, regs[0].Port)
		_, err := fetch(&http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}, url)
		return err
	})
	return url
}
