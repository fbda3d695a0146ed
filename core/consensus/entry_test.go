package consensus

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
)

var update = flag.Bool("update", false, "write the entries of testdata that are missing")

// samples is one entry of each type with every field that matters set.
func samples() []Entry {
	yes, no, n, cas := true, false, 3, uint64(7)
	job := &model.Job{
		Region: "global", Namespace: "default", ID: "web", Name: "web", Type: model.JobTypeService, Priority: 50,
		Datacenters: []string{"*"}, NodePool: "default", Meta: map[string]string{"a": "b"},
		TaskGroups: []*model.TaskGroup{{
			Name: "web", Count: 2,
			Update: &model.Update{MaxParallel: 1, ProgressDeadline: 10 * time.Minute},
			Tasks: []*model.Task{{
				Name: "main", Driver: "test", KillTimeout: 5 * time.Second,
				Config:    map[string]any{"command": "sleep", "args": []any{"1"}, "n": int64(3), "deep": map[string]any{"f": 1.5, "t": true}},
				Resources: &model.Resources{CPU: 100, MemoryMB: 64},
			}},
		}},
	}
	eval := &model.Evaluation{
		ID: "11111111-0000-0000-0000-000000000001", Namespace: "default", Priority: 50, Type: "service", TriggeredBy: model.TriggerJobRegister,
		JobID: "web", Status: model.EvalPending, WaitUntil: time.Unix(1700000000, 5).UTC(),
		ClassEligibility: map[string]bool{"v1:1": true, "v1:2": false},
		FailedTGAllocs:   map[string]*model.AllocMetric{"web": {NodesEvaluated: 1, ConstraintFiltered: map[string]int{"missing drivers": 1}}},
	}
	alloc := &model.Allocation{
		ID: "22222222-0000-0000-0000-000000000001", Namespace: "default", EvalID: eval.ID, Name: "web.web[0]", NodeID: "33333333-0000-0000-0000-000000000001",
		JobID: "web", TaskGroup: "web", DesiredStatus: model.AllocDesiredRun, ClientStatus: model.AllocClientPending,
		DesiredTransition: model.DesiredTransition{Migrate: &yes, Reschedule: &no},
		AllocatedResources: &model.AllocatedResources{
			Tasks:  map[string]*model.AllocatedTaskResources{"main": {Cpu: model.AllocatedCpu{CpuShares: 100}, Memory: model.AllocatedMemory{MemoryMB: 64}}},
			Shared: model.AllocatedSharedResources{DiskMB: 300, Ports: []model.AllocatedPort{{Label: "http", Value: 20000, HostIP: "127.0.0.1"}}},
		},
		TaskStates:       map[string]*model.TaskState{"main": {State: model.TaskRunning, StartedAt: time.Unix(1700000001, 0).UTC()}},
		DeploymentStatus: &model.AllocDeploymentStatus{Healthy: &no, Timestamp: time.Unix(1700000002, 0).UTC()},
	}
	allocs := map[string][]*model.Allocation{alloc.NodeID: {alloc}}
	deployment := &model.Deployment{
		ID: "44444444-0000-0000-0000-000000000001", Namespace: "default", JobID: "web", Status: model.DeploymentRunning,
		TaskGroups: map[string]*model.DeploymentState{"web": {DesiredTotal: 2, ProgressDeadline: time.Minute, PlacedCanaries: []string{"x"}}},
	}
	node := &model.Node{
		ID: alloc.NodeID, SecretID: "s", Name: "n", Datacenter: "dc1", Status: model.NodeStatusReady, Attributes: map[string]string{"kernel.name": "linux"},
		NodeResources: &model.NodeResources{Cpu: model.NodeCPU{CpuShares: 4000}, Memory: model.NodeMemory{MemoryMB: 4096}},
		Drivers:       map[string]*model.DriverInfo{"test": {Detected: true, Healthy: true, SchemaDigest: "d", UpdateTime: time.Unix(1700000003, 0).UTC()}},
	}
	evals := []*model.Evaluation{eval}
	status := model.DeploymentStatusUpdate{DeploymentID: deployment.ID, Status: model.DeploymentFailed, StatusDescription: "why"}
	count := int64(3)
	return []Entry{
		&RegisterJob{Job: job, Submission: &model.JobSubmission{Source: "job {}", Format: "hcl2"}, Eval: eval, EnforceIndex: true, JobModifyIndex: 9, PreserveCounts: true, Tracked: 6, Launch: 5},
		&DeregisterJob{Namespace: "default", JobID: "web", Purge: true, NoShutdownDelay: true, Eval: eval, Tracked: 6},
		&UpsertEvals{Evals: evals},
		&Reap{Evals: []string{"e"}, Allocs: []string{"a"}, Deployments: []string{"d"}, Jobs: []model.JobID{{Namespace: "default", ID: "web"}}},
		&ApplyPlans{Plans: []CommittedPlan{{
			NodeUpdate: allocs, NodeAllocation: allocs, NodePreemptions: allocs, Deployment: deployment,
			DeploymentUpdates: []*model.DeploymentStatusUpdate{&status}, Evals: evals,
			Placed: []PlacedSet{{Template: alloc, Each: []Placed{
				{ID: "p", Name: "web.web[0]", NodeID: "n", NodeName: "node", Resources: alloc.AllocatedResources}, {ID: "q", Name: "web.web[1]", NodeID: "n", NodeName: "node"},
			}}},
		}}},
		&RegisterNode{Node: node, Schemas: []DriverSchema{{Driver: "test", Version: "1", Digest: "d", Spec: []byte{1, 2}}}, Evals: evals},
		&NodeStatus{NodeID: node.ID, Status: model.NodeStatusDown, Description: "heartbeat missed", Missed: true, Evals: evals},
		&NodeDrain{NodeID: node.ID, Strategy: &model.DrainStrategy{Deadline: time.Hour, IgnoreSystemJobs: true}, MarkEligible: true, Complete: true, Meta: map[string]string{"why": "x"}, Evals: evals},
		&NodeEligibility{NodeID: node.ID, Eligibility: model.NodeIneligible, Evals: evals},
		&DeleteNodes{NodeIDs: []string{node.ID}, Evals: evals},
		&NodeUpdates{Updates: []NodeReport{{
			NodeID: node.ID, Allocs: []*model.Allocation{alloc}, Events: []*model.NodeEvent{{Message: "m", Subsystem: "s", Timestamp: time.Unix(1700000004, 0).UTC()}},
			RegisterServices: []*model.ServiceRegistration{{ID: "r", ServiceName: "svc", Namespace: "default", NodeID: node.ID, Port: 80}}, RemoveServices: []string{"old"},
		}}, Evals: evals},
		&AllocTransitions{AllocIDs: []string{alloc.ID}, Transition: model.DesiredTransition{ForceReschedule: &yes, NoShutdownDelay: &no}, Evals: evals},
		&DeploymentStatus{Update: status, Revert: job, Eval: eval, Tracked: 6},
		&PromoteDeployment{DeploymentID: deployment.ID, Groups: []string{"web"}, Eval: eval},
		&DeploymentHealth{DeploymentID: deployment.ID, Healthy: []string{"a"}, Unhealthy: []string{"b"}, Update: &status, Revert: job, Eval: eval, Tracked: 6},
		&JobStability{Namespace: "default", JobID: "web", Version: 2, Stable: true},
		&TagJobVersion{Namespace: "default", JobID: "web", Version: 2, Tag: &model.JobVersionTag{Name: "good", TaggedTime: 1}},
		&ScaleJob{Namespace: "default", JobID: "web", Group: "web", Count: &n, EnforceIndex: true, JobModifyIndex: 4, Event: &model.ScalingEvent{Time: 1, Count: &count, Message: "m", Meta: map[string]any{"k": "v"}}, Eval: eval, Tracked: 6},
		&SchedulerConfig{Config: model.DefaultSchedulerConfig(), CAS: &cas},
		&Namespaces{Upsert: []*model.Namespace{{Name: "dev", Description: "d"}}, Delete: []string{"old"}},
		&NodePools{Upsert: []*model.NodePool{{Name: "gpu", Meta: map[string]string{"a": "b"}}}, Delete: []string{"old"}},
		&DeleteServices{IDs: []string{"r"}},
		&ReconcileSummaries{},
		&SkipLaunch{Namespace: "default", JobID: "cron", Launch: 7},
		&AutopilotConfig{Config: model.DefaultAutopilotConfig(), CAS: &cas},
		&IntroTokens{Upsert: []*model.IntroToken{{
			ID: "1234", Digest: []byte{1, 2}, NodeName: "n", NodePool: "gpu", Uses: 3, CreateTime: time.Unix(1700000005, 0).UTC(), ExpireTime: time.Unix(1700000006, 0).UTC(),
		}}, Delete: []string{"old"}},
		&IntroduceNode{Registration: RegisterNode{Node: node, Schemas: []DriverSchema{{Driver: "test", Version: "1", Digest: "d", Spec: []byte{1, 2}}}, Evals: evals}, TokenID: "1234"},
		&NameCluster{Cluster: &model.Cluster{ID: "c", Region: "global", CreateTime: time.Unix(1700000007, 0).UTC()}},
	}
}

// Every entry that a release ever wrote is read, and means what it meant. A file in testdata/entries is never changed:
// it stands for the logs that are on disks. A new type, or a new version of one, adds a file.
func TestKeptEntries(t *testing.T) {
	const dir = "testdata/entries"
	if *update {
		for _, e := range samples() {
			e.stamp(time.Unix(1700000000, 0))
			data, err := Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			shown, err := json.MarshalIndent(e, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(dir, fmt.Sprintf("%02d-v%d-%s", data[0], data[1], reflect.TypeOf(e).Elem().Name()))
			if _, err := os.Stat(name + ".log"); err == nil {
				continue
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name+".log", data, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name+".json", append(shown, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	covered := map[Type]bool{}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			e, err := Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			covered[e.entryType()] = true
			want, err := os.ReadFile(strings.TrimSuffix(file, ".log") + ".json")
			if err != nil {
				t.Fatal(err)
			}
			// What was meant then, read by today's structs.
			meant := empty(e.entryType(), data[1])
			dec := json.NewDecoder(bytes.NewReader(want))
			if err := dec.Decode(meant); err != nil {
				t.Fatal(err)
			}
			if got, want := show(t, e), show(t, meant); got != want {
				t.Errorf("decoded:\n%s\nmeant:\n%s", got, want)
			}
		})
	}
	for typ := Type(1); empty(typ, version(typ)) != nil; typ++ {
		if !covered[typ] {
			t.Errorf("no entry of type %d (%T) is kept in %s: run the test with -update and commit the new files", typ, empty(typ, version(typ)), dir)
		}
	}
}

func show(t *testing.T, e Entry) string {
	t.Helper()
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// An entry is what it was after a way through the log.
func TestRoundTrip(t *testing.T) {
	for _, e := range samples() {
		data, err := Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if show(t, got) != show(t, e) {
			t.Errorf("%T:\ngot  %s\nwant %s", e, show(t, got), show(t, e))
		}
	}
}

// What this release cannot know is refused with a reason, never guessed at.
func TestDecodeRefuses(t *testing.T) {
	good, err := Encode(&JobStability{JobID: "web"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":         {nil, "it has no type"},
		"later type":    {[]byte{250, 1, 0x80}, "later one"},
		"later version": {[]byte{1, 9, 0x80}, "later one"},
		"cut off":       {good[:len(good)-2], "decode log entry"},
		"garbage":       {[]byte{1, 1, 0xc1}, "decode log entry"},
	} {
		if _, err := Decode(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// No bytes make the decoder panic.
func FuzzDecode(f *testing.F) {
	for _, e := range samples() {
		data, err := Encode(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) { Decode(data) })
}
