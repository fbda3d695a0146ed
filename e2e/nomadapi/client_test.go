// Package nomadapi drives an agent with the official Go client of the API, the way the tools that use it do.
package nomadapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/droverhq/drover/e2e/harness"
)

// limit bounds every wait of these tests; nothing here takes that long.
const limit = 30 * time.Second

// fixture is one agent, a client and a service that runs throughout.
type fixture struct {
	agent  *harness.Agent
	c      *api.Client
	nodeID string
	web    *api.Job        // two running instances
	alloc  *api.Allocation // one of them
}

// TestOfficialClient shares one agent between everything that the client can ask for.
func TestOfficialClient(t *testing.T) {
	a := harness.Start(t, harness.Options{Config: "telemetry { prometheus_metrics = true }\n"})
	c, err := api.NewClient(&api.Config{Address: a.Addr})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{agent: a, c: c}
	f.nodeID = f.readyNode(t)
	f.web = f.service("web", 2, shell(webScript))
	f.web.TaskGroups[0].Tasks[0].Services = []*api.Service{{Name: "web", Provider: "nomad", PortLabel: "http", Tags: []string{"green"}}}
	f.web.TaskGroups[0].Networks = []*api.NetworkResource{{DynamicPorts: []api.Port{{Label: "http"}}}}
	f.run(t, f.web)
	f.alloc = f.info(t, f.waitAllocs(t, "web", "running", 2)[0].ID)

	for _, part := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"jobs", testJobs},
		{"allocations", testAllocations},
		{"exec", testExec},
		{"files", testFiles},
		{"logs", testLogs},
		{"evaluations", testEvaluations},
		{"deployments", testDeployments},
		{"queries", testQueries},
		{"errors", testErrors},
		{"agent", testAgent},
		{"operator", testOperator},
		{"discovery", testDiscovery},
		{"events", testEvents},
		{"nodes", testNodes}, // drains the node: last
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, f) })
	}
}

// webScript says which instance it is on both streams, notes signals in a file, and waits.
const webScript = `echo out $NOMAD_ALLOC_INDEX; echo err $NOMAD_ALLOC_INDEX >&2
trap 'echo hup >> $NOMAD_TASK_DIR/signals' HUP
trap 'exit 0' INT TERM
printf 0123456789 > $NOMAD_TASK_DIR/digits
touch $NOMAD_TASK_DIR/ready
while true; do sleep 0.1; done`

func ptr[T any](v T) *T { return &v }

// shell is a raw_exec task that runs a script.
func shell(script string) *api.Task {
	t := api.NewTask("t", "raw_exec")
	t.SetConfig("command", "/bin/sh")
	t.SetConfig("args", []string{"-c", script})
	t.Resources = &api.Resources{CPU: ptr(10), MemoryMB: ptr(16)}
	t.LogConfig = &api.LogConfig{MaxFiles: ptr(2), MaxFileSizeMB: ptr(1)}
	return t
}

// group holds the task, fails for good at its first failure and needs little disk.
func group(count int, task *api.Task) *api.TaskGroup {
	g := api.NewTaskGroup("g", count)
	g.RestartPolicy = &api.RestartPolicy{Attempts: ptr(0), Mode: ptr("fail")}
	g.ReschedulePolicy = &api.ReschedulePolicy{Attempts: ptr(0), Unlimited: ptr(false)}
	g.EphemeralDisk = &api.EphemeralDisk{SizeMB: ptr(10)}
	return g.AddTask(task)
}

func (f *fixture) service(id string, count int, task *api.Task) *api.Job {
	j := api.NewServiceJob(id, id, "global", 50).AddDatacenter("dc1").AddTaskGroup(group(count, task))
	j.Update = &api.UpdateStrategy{MinHealthyTime: ptr(10 * time.Millisecond), HealthCheck: ptr("task_states")}
	return j
}

func (f *fixture) batch(id string, task *api.Task) *api.Job {
	return api.NewBatchJob(id, id, "global", 50).AddDatacenter("dc1").AddTaskGroup(group(1, task))
}

// run registers the job and purges it when the test ends.
func (f *fixture) run(t *testing.T, job *api.Job) *api.JobRegisterResponse {
	t.Helper()
	resp, meta, err := f.c.Jobs().Register(job, nil)
	if err != nil {
		t.Fatalf("register %s: %v", *job.ID, err)
	}
	if resp.JobModifyIndex == 0 || meta.LastIndex == 0 {
		t.Errorf("register %s: indexes %d, %d must not be 0", *job.ID, resp.JobModifyIndex, meta.LastIndex)
	}
	t.Cleanup(func() {
		if _, _, err := f.c.Jobs().Deregister(*job.ID, true, nil); err != nil {
			t.Errorf("purge %s: %v", *job.ID, err)
		}
	})
	return resp
}

func (f *fixture) info(t *testing.T, id string) *api.Allocation {
	t.Helper()
	a, _, err := f.c.Allocations().Info(id, nil)
	if err != nil {
		t.Fatalf("allocation %s: %v", id, err)
	}
	return a
}

func (f *fixture) readyNode(t *testing.T) (id string) {
	t.Helper()
	f.until(t, "a node with raw_exec", func() error {
		nodes, _, err := f.c.Nodes().List(nil)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if d := n.Drivers["raw_exec"]; d != nil && d.Healthy && n.Status == "ready" {
				id = n.ID
				return nil
			}
		}
		return fmt.Errorf("nodes: %s", harness.Pretty(nodes))
	})
	return id
}

// waitAllocs waits until n allocations of a job have the client status.
func (f *fixture) waitAllocs(t *testing.T, job, status string, n int) (found []*api.AllocationListStub) {
	t.Helper()
	f.until(t, fmt.Sprintf("%d %s allocations of %s", n, status, job), func() error {
		all, _, err := f.c.Jobs().Allocations(job, true, nil)
		if err != nil {
			return err
		}
		found = nil
		var have []string
		for _, a := range all {
			have = append(have, a.ClientStatus+" "+a.ClientDescription)
			if a.ClientStatus == status {
				found = append(found, a)
			}
		}
		if len(found) != n {
			return fmt.Errorf("have %q", have)
		}
		return nil
	})
	return found
}

func (f *fixture) until(t *testing.T, what string, fn func() error) {
	t.Helper()
	harness.Eventually(t, limit, what, fn)
}

// status checks that err is an UnexpectedResponseError with the status and that its body says the words.
func status(t *testing.T, err error, code int, words ...string) {
	t.Helper()
	var e api.UnexpectedResponseError
	if !errors.As(err, &e) {
		t.Errorf("want status %d, have %v", code, err)
		return
	}
	if e.StatusCode() != code {
		t.Errorf("status %d, want %d: %v", e.StatusCode(), code, err)
	}
	for _, w := range words {
		if !strings.Contains(e.Body(), w) {
			t.Errorf("body %q does not mention %q", e.Body(), w)
		}
	}
	if want := fmt.Sprintf("Unexpected response code: %d", code); !strings.Contains(err.Error(), want) {
		t.Errorf("error %q lacks %q", err, want)
	}
}

// one and get unwrap what a call of the client returned, without and with its meta.
func one[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func get[T, M any](v T, _ M, err error) func(*testing.T) T { return one(v, err) }

func text(t *testing.T, r io.ReadCloser, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func timeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}
