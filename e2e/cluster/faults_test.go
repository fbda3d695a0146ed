package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/cluster/history"
	"github.com/droverhq/drover/e2e/harness"
)

// traffic is callers that write jobs and read them, each through any server, for as long as a test breaks things.
type traffic struct {
	m      *machines
	log    *history.Log // of one round: writes without an answer make a long history hard to decide
	round  int
	http   *http.Client
	stop   context.CancelFunc
	wg     sync.WaitGroup
	turn   atomic.Int64
	writes atomic.Int64 // acknowledged
}

// Few jobs and a pause between calls keep the history small enough to be decided.
const (
	callersAtOnce = 4
	registersUsed = 3
	callTimeout   = 2 * time.Second
	callPause     = 25 * time.Millisecond
)

func newTraffic(m *machines, round int) *traffic {
	ctx, stop := context.WithCancel(context.Background())
	c := &traffic{m: m, log: history.New(), round: round, stop: stop, http: &http.Client{
		Timeout: callTimeout, Transport: &http.Transport{DisableKeepAlives: true},
	}}
	for i := range callersAtOnce {
		c.wg.Go(func() {
			for ctx.Err() == nil {
				c.once(i, rand.IntN(2) == 0)
				time.Sleep(callPause)
			}
		})
	}
	m.t.Cleanup(c.end)
	return c
}

func (c *traffic) end() {
	c.stop()
	c.wg.Wait()
}

func (c *traffic) register(n int) string { return fmt.Sprintf("round-%d-register-%d", c.round, n) }

// once does one operation and notes it.
func (c *traffic) once(caller int, write bool) {
	name := c.register(rand.IntN(registersUsed))
	addr := c.m.servers[rand.IntN(len(c.m.servers))].Addr
	if write {
		value := fmt.Sprint(c.turn.Add(1))
		p := c.log.Write(caller, name, value)
		if err := c.put(addr, name, value); err != nil {
			p.Unknown()
			return
		}
		p.Done("")
		c.writes.Add(1)
		return
	}
	p := c.log.Read(caller, name)
	value, err := c.get(addr, name)
	if err != nil {
		p.Unknown()
		return
	}
	p.Done(value)
}

func (c *traffic) put(addr, name, value string) error {
	body, err := json.Marshal(map[string]any{"Job": map[string]any{
		"ID": name, "Name": name, "Type": "service", "Datacenters": []string{"*"}, "Meta": map[string]string{"value": value},
		"TaskGroups": []any{map[string]any{"Name": "g", "Count": 0, "Tasks": []any{map[string]any{
			"Name": "t", "Driver": "raw_exec", "Config": map[string]any{"command": "/bin/true"},
		}}}},
	}})
	if err != nil {
		return err
	}
	resp, err := c.http.Post(addr+"/v1/jobs", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%d: %s", resp.StatusCode, text)
	}
	return err
}

func (c *traffic) get(addr, name string) (string, error) {
	resp, err := c.http.Get(addr + "/v1/job/" + name + "?consistent")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return "", nil
	}
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	var job struct{ Meta map[string]string }
	err = json.NewDecoder(resp.Body).Decode(&job)
	return job.Meta["value"], err
}

// again waits until writes are acknowledged that began after now.
func (c *traffic) again(what string) {
	c.m.t.Helper()
	want := c.writes.Load() + callersAtOnce
	began := time.Now()
	harness.Eventually(c.m.t, time.Minute, "writes are acknowledged "+what, func() error {
		if n := c.writes.Load(); n < want {
			return fmt.Errorf("%d of %d", n, want)
		}
		return nil
	})
	c.m.t.Logf("%s: writes are acknowledged after %v", what, time.Since(began).Round(10*time.Millisecond))
}

// What is acknowledged is never lost, and what is read is the newest, whatever happens to the servers and the network
// between them; tasks do not notice.
func TestFaults(t *testing.T) {
	rounds := 1
	if os.Getenv("DROVER_TIER") == "soak" {
		rounds = 25
	}
	m := newMachines(t, 3, 2)
	all := []int{0, 1, 2}
	m.servers[0].RunJob(job)
	before := m.nodes[0].WaitAllocs("web", 2, "running", time.Minute)

	faults := []struct {
		name string
		harm func(lead int)
		heal func(lead int)
	}{
		{"the leader in a minority", func(lead int) { m.must(m.wire.Part(serverName(lead), m.names(m.rest(lead))...)) }, nil},
		{"a follower in a minority", func(lead int) {
			one := m.rest(lead)[0]
			m.must(m.wire.Part(serverName(one), m.names(m.rest(one))...))
		}, nil},
		{"nothing that the leader sends reaches a follower", func(lead int) { m.must(m.wire.Cut(serverName(lead), serverName(m.rest(lead)[0]))) }, nil},
		{"nothing reaches the leader", func(lead int) {
			for _, o := range m.rest(lead) {
				m.must(m.wire.Cut(serverName(o), serverName(lead)))
			}
		}, nil},
		{"the leader stands still", func(lead int) { m.signal(lead, syscall.SIGSTOP) }, func(lead int) { m.signal(lead, syscall.SIGCONT) }},
		{"the leader is killed", func(lead int) { m.servers[lead].Kill9() }, func(lead int) { m.servers[lead].Run() }},
	}
	var c *traffic
	for round := range rounds {
		c = newTraffic(m, round)
		c.again("at first")
		for _, f := range faults {
			lead := m.leading(all...)
			f.harm(lead)
			c.again("while " + f.name)
			if f.heal != nil {
				f.heal(lead)
			}
			m.must(m.wire.Heal())
			c.again("after " + f.name)
		}
		// No majority: nothing is acknowledged that began while the servers are apart, and all of it counts after.
		for _, one := range all {
			m.must(m.wire.Part(serverName(one), m.names(m.rest(one))...))
		}
		for _, s := range m.servers {
			s.Eventually(30*time.Second, "no server leads", func() error {
				var addr string
				if err := s.Get("/v1/status/leader", &addr); err != nil || addr != "" {
					return fmt.Errorf("%q leads: %v", addr, err)
				}
				return nil
			})
		}
		if err := c.put(m.servers[0].Addr, "nobody", "x"); err == nil {
			t.Error("a write was acknowledged without a majority")
		}
		m.must(m.wire.Heal())
		c.again("after no majority")
		for _, s := range m.servers {
			s.Kill9()
		}
		for _, s := range m.servers {
			s.Run()
		}
		c.again("after all servers were killed")
		c.end()
		answered, unknown := c.log.Figures()
		t.Logf("%d answers, %d writes without one", answered, unknown)
		switch v := c.log.Check(time.Minute); v {
		case history.Holds:
		case history.Unsure:
			t.Fatal("whether a single server could have given these answers was not decided within a minute")
		default:
			t.Fatalf("no single server could have given these answers: %s", v)
		}
	}
	final := map[string]string{}
	for i := range registersUsed {
		name := c.register(i)
		harness.Eventually(t, 30*time.Second, "the last value is read", func() (err error) {
			final[name], err = c.get(m.servers[0].Addr, name)
			return err
		})
	}
	for _, s := range m.servers {
		s.Eventually(30*time.Second, "every server has the last value of each job", func() error {
			for name, want := range final {
				var job struct{ Meta map[string]string }
				if err := s.Get("/v1/job/"+name+"?stale", &job); err != nil || job.Meta["value"] != want {
					return fmt.Errorf("%s: %q, want %q: %v", name, job.Meta["value"], want, err)
				}
			}
			return nil
		})
	}
	after := m.nodes[0].WaitAllocs("web", 2, "running", time.Minute)
	for i := range before {
		found := false
		for _, a := range after {
			if a.ID != before[i].ID {
				continue
			}
			found = true
			for name, st := range a.TaskStates {
				if st.Restarts != 0 {
					t.Errorf("task %s of %s was restarted %d times", name, a.ID, st.Restarts)
				}
			}
		}
		if !found {
			t.Errorf("allocation %s was replaced", before[i].ID)
		}
	}
	m.nodes[0].MustCLI("job", "stop", "-purge", "web")
}
