package node

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
)

func TestRunsAndStops(t *testing.T) {
	r := newRig(t)
	r.ctl.run(alloc("a1", "service", task("web")))
	got := r.ctl.awaitStatus("a1", model.AllocClientRunning)
	if st := got.TaskStates["web"]; st.State != model.TaskRunning || st.StartedAt.IsZero() {
		t.Errorf("state %+v", st)
	}
	want := []string{model.EventReceived, model.EventTaskSetup, model.EventStarted}
	if types := eventTypes(got, "web"); !slices.Equal(types, want) {
		t.Errorf("events %v, want %v", types, want)
	}
	for _, e := range got.TaskStates["web"].Events {
		if e.DisplayMessage == "" {
			t.Errorf("%s says nothing", e.Type)
		}
	}
	tc := r.world.task("web").config
	if tc.Env["NOMAD_TASK_NAME"] != "web" || tc.Env["DROVER_ALLOC_ID"] != "a1" || !strings.HasSuffix(tc.StdoutPath, ".web.stdout.fifo") || !strings.HasPrefix(tc.ID, "a1/web/") {
		t.Errorf("task config %+v", tc)
	}
	if tc.Resources.Linux.MemoryLimitBytes != 32<<20 || tc.Resources.Linux.PercentTicks <= 0 {
		t.Errorf("resources %+v", tc.Resources)
	}

	r.ctl.stop("a1")
	got = r.ctl.awaitStatus("a1", model.AllocClientComplete)
	want = append(want, model.EventKilling, model.EventTerminated, model.EventKilled)
	if types := eventTypes(got, "web"); !slices.Equal(types, want) {
		t.Errorf("events %v, want %v", types, want)
	}
	if r.logs.left() > 0 {
		t.Error("log streams left open")
	}
	if len(r.world.tasks) > 0 {
		t.Error("the driver was not told to forget the task")
	}
	if _, err := os.Stat(r.allocs + "/a1/web/local"); err != nil {
		t.Error("files must stay until they are collected:", err)
	}
	r.ctl.forget("a1")
	eventually(t, "the directory goes", func() bool { _, err := os.Stat(r.allocs + "/a1"); return os.IsNotExist(err) })
}

func TestBatchEnds(t *testing.T) {
	r := newRig(t)
	r.ctl.run(alloc("ok", "batch", task("job")))
	r.ctl.awaitStatus("ok", model.AllocClientRunning)
	r.world.task("job").exit(0)
	got := r.ctl.awaitStatus("ok", model.AllocClientComplete)
	if st := got.TaskStates["job"]; st.Failed || st.FinishedAt.IsZero() || st.Restarts != 0 {
		t.Errorf("%+v", st)
	}

	a := alloc("bad", "batch", task("job"))
	r.ctl.run(a)
	r.ctl.awaitStatus("bad", model.AllocClientRunning)
	r.world.task("job").exit(1) // restarted once
	eventually(t, "second attempt", func() bool { return r.world.starts() == 3 && r.world.task("job") != nil })
	r.world.task("job").exit(1)
	got = r.ctl.awaitStatus("bad", model.AllocClientFailed)
	st := got.TaskStates["job"]
	if !st.Failed || st.Restarts != 1 {
		t.Errorf("%+v", st)
	}
	types := eventTypes(got, "job")
	want := []string{model.EventReceived, model.EventTaskSetup, model.EventStarted, model.EventTerminated, model.EventRestarting,
		model.EventStarted, model.EventTerminated, model.EventNotRestarting}
	if !slices.Equal(types, want) {
		t.Errorf("events %v, want %v", types, want)
	}
}

func TestBadConfigFailsTheTask(t *testing.T) {
	r := newRig(t)
	r.ctl.run(alloc("a1", "service", task("web", func(t *model.Task) { t.Config["bad"] = "comand" })))
	got := r.ctl.awaitStatus("a1", model.AllocClientFailed)
	types := eventTypes(got, "web")
	if !slices.Contains(types, model.EventFailedValidation) || r.world.starts() != 0 {
		t.Errorf("events %v", types)
	}
}

func TestStartErrors(t *testing.T) {
	r := newRig(t)
	fails := 1
	r.world.startErr = func(*driver.TaskConfig) error {
		if fails--; fails >= 0 {
			return driver.Recoverable(errors.New("registry is busy"))
		}
		return nil
	}
	r.ctl.run(alloc("again", "service", task("web")))
	got := r.ctl.awaitStatus("again", model.AllocClientRunning)
	if types := eventTypes(got, "web"); !slices.Contains(types, model.EventDriverFailure) || !slices.Contains(types, model.EventRestarting) {
		t.Errorf("events %v", types)
	}
	r.world.mu.Lock()
	r.world.startErr = func(*driver.TaskConfig) error { return errors.New("no such image") }
	r.world.mu.Unlock()
	r.ctl.run(alloc("final", "service", task("web")))
	got = r.ctl.awaitStatus("final", model.AllocClientFailed)
	if types := eventTypes(got, "web"); !slices.Contains(types, model.EventNotRestarting) || slices.Contains(types, model.EventRestarting) {
		t.Errorf("events %v", types)
	}
}

// prestart runs first, main and sidecar next, poststart then; the leader's death ends the rest in order; poststop last.
func TestLifecycleOrder(t *testing.T) {
	r := newRig(t)
	hook := func(hook string, sidecar bool) func(*model.Task) {
		return func(t *model.Task) { t.Lifecycle = &model.Lifecycle{Hook: hook, Sidecar: sidecar} }
	}
	r.ctl.run(alloc("a1", "batch",
		task("main", func(t *model.Task) { t.Leader = true }), task("second"),
		task("init", hook("prestart", false)), task("side", hook("prestart", true)),
		task("after", hook("poststart", false)), task("cleanup", hook("poststop", false))))
	eventually(t, "prestart tasks run", func() bool { return r.world.task("init") != nil && r.world.task("side") != nil })
	if r.world.task("main") != nil {
		t.Fatal("main runs before prestart is done")
	}
	r.world.task("init").exit(0)
	eventually(t, "main and poststart run", func() bool {
		return r.world.task("main") != nil && r.world.task("second") != nil && r.world.task("after") != nil
	})
	r.world.task("after").exit(0)
	eventually(t, "poststart has ended", func() bool { // or else the leader's death ends it too
		a := r.ctl.report("a1")
		return a != nil && a.TaskStates["after"] != nil && a.TaskStates["after"].State == model.TaskDead
	})
	r.world.task("main").exit(0)
	eventually(t, "poststop runs", func() bool { return r.world.task("cleanup") != nil })
	if !slices.Equal(r.world.stops, []string{"second", "side"}) {
		t.Errorf("stopped %v, want the other main task before the sidecar", r.world.stops)
	}
	if got := r.ctl.report("a1"); got.ClientStatus != model.AllocClientRunning {
		t.Errorf("status %s while poststop runs", got.ClientStatus)
	}
	r.world.task("cleanup").exit(0)
	got := r.ctl.awaitStatus("a1", model.AllocClientComplete)
	if types := eventTypes(got, "second"); !slices.Contains(types, model.EventLeaderDead) {
		t.Errorf("events of second: %v", types)
	}
}

func TestFailedSibling(t *testing.T) {
	r := newRig(t)
	a := alloc("a1", "service", task("web"), task("db"))
	a.Job.TaskGroups[0].RestartPolicy.Attempts = 0
	r.ctl.run(a)
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	eventually(t, "both run", func() bool { return r.world.task("web") != nil && r.world.task("db") != nil })
	r.world.task("db").exit(2)
	got := r.ctl.awaitStatus("a1", model.AllocClientFailed)
	if types := eventTypes(got, "web"); !slices.Contains(types, model.EventSiblingFailed) || !slices.Contains(types, model.EventKilled) {
		t.Errorf("events of web: %v", types)
	}
	if h := r.ctl.history["a1"]; !slices.Equal(h[len(h)-2:], []string{model.AllocClientRunning, model.AllocClientFailed}) {
		t.Errorf("statuses %v", h)
	}
}

// The plugin's process dies: tasks do not notice, exit codes are kept, a stop still works.
func TestPluginDeath(t *testing.T) {
	r := newRig(t)
	r.ctl.run(alloc("a1", "batch", task("job")))
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	before := r.world.task("job")
	for range 3 {
		r.world.killPlugin()
	}
	before.exit(42)
	eventually(t, "the exit is seen", func() bool { return r.world.starts() == 2 })
	got := r.ctl.report("a1")
	eventually(t, "exit code 42 is reported", func() bool {
		got = r.ctl.report("a1")
		return slices.ContainsFunc(got.TaskStates["job"].Events, func(e *model.TaskEvent) bool { return e.Type == model.EventTerminated && e.ExitCode == 42 })
	})
	eventually(t, "second attempt", func() bool { return r.world.task("job") != nil })
	r.world.killPlugin()
	r.ctl.stop("a1")
	r.ctl.awaitStatus("a1", model.AllocClientComplete)
}

// The process dies under StartTask: the next one is asked for the same start, and the task runs once.
func TestPluginDeathDuringStart(t *testing.T) {
	r := newRig(t)
	var ids []string
	r.world.onStart = func(tc *driver.TaskConfig) error {
		ids = append(ids, tc.ID)
		if len(ids) == 1 {
			r.world.killPlugin()
			return host.ErrPluginDown
		}
		return nil
	}
	r.ctl.run(alloc("a1", "service", task("web")))
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	if len(ids) != 2 || ids[0] != ids[1] {
		t.Errorf("task ids %v, want the same twice", ids)
	}
	if running := r.world.running(); len(running) != 1 || r.world.starts() != 1 {
		t.Errorf("%d instances run of %d started", len(running), r.world.starts())
	}
}

// The process dies under DestroyTask: the next one is told of the task first, because it can only destroy what it knows.
func TestPluginDeathDuringDestroy(t *testing.T) {
	r := newRig(t)
	died := false
	r.world.onDestroy = func() bool {
		if died {
			return true
		}
		died = true
		r.world.killPlugin()
		return false
	}
	r.ctl.run(alloc("a1", "service", task("web")))
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	r.ctl.stop("a1")
	r.ctl.awaitStatus("a1", model.AllocClientComplete)
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	if len(r.world.tasks) != 0 || len(r.world.destroyed) != 1 {
		t.Errorf("left %v, destroyed %v", r.world.tasks, r.world.destroyed)
	}
}

// The agent goes away and comes back: the task runs on, an end meanwhile is reported with its code and its time.
func TestRestartOfTheAgent(t *testing.T) {
	r := newRig(t)
	r.ctl.run(alloc("stays", "service", task("web")))
	r.ctl.run(alloc("ends", "batch", task("job")))
	r.ctl.awaitStatus("stays", model.AllocClientRunning)
	r.ctl.awaitStatus("ends", model.AllocClientRunning)
	id := r.world.task("web").config.ID
	r.stop()
	if r.world.task("web") == nil {
		t.Fatal("the task ended with the agent")
	}
	r.world.task("job").exit(0)
	when := time.Now()
	r.world.killPlugin()
	time.Sleep(20 * time.Millisecond) // so that the time of the end can be told from that of the report
	r.boot()
	eventually(t, "the plugin host hears that all is recovered", func() bool { return r.world.recovered.Load() == 2 })
	got := r.ctl.awaitStatus("ends", model.AllocClientComplete)
	if at := got.TaskStates["job"].FinishedAt; at.After(when.Add(5 * time.Millisecond)) {
		t.Errorf("finished at %v, want not after %v", at, when)
	}
	if now := r.world.task("web"); now == nil || now.config.ID != id {
		t.Fatal("another instance runs")
	}
	if r.world.starts() != 2 {
		t.Errorf("%d starts", r.world.starts())
	}
	r.ctl.stop("stays")
	r.ctl.awaitStatus("stays", model.AllocClientComplete)
}

// A task that cannot be found again is started anew once the servers have been heard.
func TestFailedRecovery(t *testing.T) {
	r := newRig(t)
	r.ctl.run(alloc("a1", "service", task("web")))
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	r.stop()
	r.world.mu.Lock()
	for id := range r.world.tasks {
		delete(r.world.tasks, id) // the machine was rebooted
	}
	r.world.mu.Unlock()
	r.boot()
	eventually(t, "a new instance", func() bool { return r.world.task("web") != nil })
	eventually(t, "it is reported", func() bool {
		return slices.Contains(eventTypes(r.ctl.report("a1"), "web"), model.EventFailedRestore)
	})
	if r.world.starts() != 2 {
		t.Errorf("%d starts", r.world.starts())
	}
}

// The agent died between asking for a start and hearing of it: the instance nobody knows is ended.
func TestCrashDuringStart(t *testing.T) {
	r := newRig(t)
	crash := make(chan struct{})
	block := make(chan struct{})
	r.world.onStart = func(*driver.TaskConfig) error { close(crash); <-block; return nil }
	r.ctl.run(alloc("a1", "service", task("web")))
	<-crash
	lost := r.world.task("web")
	// What a kill -9 leaves: the file as it is now, and a second agent on it.
	image := t.TempDir()
	copyState(t, r.dir, image)
	r.world.mu.Lock()
	r.world.onStart = nil
	r.world.mu.Unlock()
	close(block)
	r.stop()
	r.dir = image
	r.boot()
	eventually(t, "the lost instance is ended", func() bool {
		select {
		case <-lost.done:
			return true
		default:
			return false
		}
	})
	eventually(t, "one instance runs", func() bool { return len(r.world.running()) == 1 && r.world.task("web") != lost })
}

// Client state is damaged: the tasks run on and are found again with the servers' help.
func TestDamagedClientState(t *testing.T) {
	r := newRig(t)
	r.ctl.run(alloc("keep", "service", task("web")))
	r.ctl.run(alloc("gone", "service", task("web")))
	r.ctl.awaitStatus("keep", model.AllocClientRunning)
	r.ctl.awaitStatus("gone", model.AllocClientRunning)
	var keep, gone *fakeTask
	for _, ft := range r.world.running() {
		if ft.config.AllocID == "keep" {
			keep = ft
		} else {
			gone = ft
		}
	}
	r.stop()
	if err := os.WriteFile(r.dir+"/client/state.db", []byte(strings.Repeat("rubbish ", 4000)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.ctl.mu.Lock()
	delete(r.ctl.allocs, "gone")
	r.ctl.mu.Unlock()
	r.boot()
	eventually(t, "what is not wanted is ended", func() bool {
		select {
		case <-gone.done:
			return true
		default:
			return false
		}
	})
	r.ctl.stop("keep") // works only if it was found
	r.ctl.awaitStatus("keep", model.AllocClientComplete)
	if keep.result.ExitCode != 143 || r.world.starts() != 2 {
		t.Errorf("exit code %d, %d starts: the task was not found again", keep.result.ExitCode, r.world.starts())
	}
}

func TestServices(t *testing.T) {
	r := newRig(t)
	a := alloc("a1", "service", task("web", func(t *model.Task) {
		t.Services = []*model.Service{{Name: "web-${NOMAD_GROUP_NAME}", PortLabel: "http", Tags: []string{"${NOMAD_TASK_NAME}"}}}
	}))
	a.AllocatedResources.Shared.Ports = []model.AllocatedPort{{Label: "http", Value: 25000, HostIP: "10.1.2.3"}}
	a.Job.TaskGroups[0].Services = []*model.Service{{Name: "group", PortLabel: "http"}}
	r.ctl.run(a)
	id := "_nomad-task-a1-web-web-g-http"
	service := func(id string) *model.ServiceRegistration {
		r.ctl.mu.Lock()
		defer r.ctl.mu.Unlock()
		return r.ctl.services[id]
	}
	eventually(t, "the task's service is registered", func() bool { return service(id) != nil })
	if s := service(id); s.Address != "10.1.2.3" || s.Port != 25000 || s.Tags[0] != "web" || s.NodeID != r.node.ID() {
		t.Errorf("%+v", s)
	}
	eventually(t, "the group's too", func() bool { return service("_nomad-task-a1-group-g-group-http") != nil })
	r.ctl.stop("a1")
	eventually(t, "both are gone", func() bool {
		r.ctl.mu.Lock()
		defer r.ctl.mu.Unlock()
		return len(r.ctl.services) == 0
	})
}

func TestHealthOfADeployment(t *testing.T) {
	r := newRig(t)
	a := alloc("a1", "service", task("web"))
	a.DeploymentID = "d1"
	a.Job.TaskGroups[0].Update = &model.Update{HealthCheck: "task_states", MinHealthyTime: 30 * time.Millisecond, HealthyDeadline: time.Minute}
	r.ctl.run(a)
	eventually(t, "healthy", func() bool {
		got := r.ctl.report("a1")
		return got != nil && got.DeploymentStatus != nil && got.DeploymentStatus.Healthy != nil && *got.DeploymentStatus.Healthy
	})
	b := alloc("a2", "service", task("web"))
	b.DeploymentID = "d1"
	b.Job.TaskGroups[0].Update = a.Job.TaskGroups[0].Update
	b.Job.TaskGroups[0].Update.HealthCheck = "checks"
	b.Job.TaskGroups[0].RestartPolicy.Attempts = 0
	b.Job.TaskGroups[0].Update.MinHealthyTime = time.Minute
	r.ctl.run(b)
	r.ctl.awaitStatus("a2", model.AllocClientRunning)
	for _, ft := range r.world.running() {
		if ft.config.AllocID == "a2" {
			ft.exit(1)
		}
	}
	eventually(t, "unhealthy", func() bool {
		got := r.ctl.report("a2")
		return got.DeploymentStatus != nil && got.DeploymentStatus.Healthy != nil && !*got.DeploymentStatus.Healthy
	})
}

func TestRestartSignalAndExec(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r.ctl.run(alloc("a1", "service", task("web"), task("init", func(t *model.Task) { t.Lifecycle = &model.Lifecycle{Hook: "prestart"} })))
	eventually(t, "init runs", func() bool { return r.world.task("init") != nil })
	r.world.task("init").exit(0)
	eventually(t, "web runs", func() bool { return taskState(r, "a1", "web") == model.TaskRunning })
	conn := r.ctl.conn()

	first := r.world.task("web")
	if _, err := rpc.AllocRestart.Call(ctx, conn, &rpc.AllocRestartRequest{AllocID: "a1"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another instance of web alone", func() bool {
		n := r.world.task("web")
		return n != nil && n != first && r.node.runner("a1").Task("web").State().State == model.TaskRunning
	})
	if r.world.starts() != 3 {
		t.Errorf("%d starts", r.world.starts())
	}

	out, err := rpc.AllocExec.Call(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	out.Send(&rpc.ExecInput{Setup: &rpc.ExecSetup{AllocID: "a1", Task: "web", Command: []string{"echo"}}})
	out.Send(&rpc.ExecInput{Stdin: []byte("hi")})
	out.Send(&rpc.ExecInput{CloseStdin: true})
	text, code := "", -1
	for code < 0 {
		m, err := out.Recv()
		if err != nil {
			t.Fatal(err)
		}
		text += string(m.Stdout)
		if m.Exited {
			code = m.ExitCode
		}
	}
	if text != "[echo] hi" || code != 3 {
		t.Errorf("exec gave %q, %d", text, code)
	}

	stats, err := rpc.AllocStats.Call(ctx, conn, &rpc.AllocStatsRequest{AllocID: "a1"})
	if err != nil || stats.ResourceUsage.MemoryStats.RSS != 1000 || len(stats.Tasks) != 1 {
		t.Errorf("stats %+v, %v", stats, err)
	}
	if _, err := rpc.AllocSignal.Call(ctx, conn, &rpc.AllocSignalRequest{AllocID: "a1", Task: "web", Signal: "SIGUSR1"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the signal ended it and it was restarted", func() bool { return r.world.starts() == 4 })

	if _, err := rpc.AllocRestart.Call(ctx, conn, &rpc.AllocRestartRequest{AllocID: "a1", AllTasks: true}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "init runs again", func() bool { return r.world.task("init") != nil })
	r.world.task("init").exit(0)
	eventually(t, "web too", func() bool { return r.world.task("web") != nil && r.world.starts() == 6 })
	r.ctl.awaitStatus("a1", model.AllocClientRunning)

	for name, call := range map[string]func() error{
		"unknown allocation": func() error {
			_, err := rpc.AllocRestart.Call(ctx, conn, &rpc.AllocRestartRequest{AllocID: "nope"})
			return is(err, rpc.ErrNotFound)
		},
		"unknown task": func() error {
			_, err := rpc.AllocSignal.Call(ctx, conn, &rpc.AllocSignalRequest{AllocID: "a1", Task: "nope", Signal: "SIGHUP"})
			return is(err, rpc.ErrInvalid)
		},
		"not running": func() error {
			_, err := rpc.AllocSignal.Call(ctx, conn, &rpc.AllocSignalRequest{AllocID: "a1", Task: "init", Signal: "SIGHUP"})
			return is(err, rpc.ErrNotRunning)
		},
		"collecting what runs": func() error {
			_, err := rpc.AllocGC.Call(ctx, conn, &rpc.AllocRef{AllocID: "a1"})
			return is(err, rpc.ErrInvalid)
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func taskState(r *rig, alloc, task string) string {
	got := r.ctl.report(alloc)
	if got == nil || got.TaskStates[task] == nil {
		return ""
	}
	return got.TaskStates[task].State
}

func is(err, class error) error {
	if errors.Is(err, class) {
		return nil
	}
	return errors.New("got " + errText(err) + ", want class " + class.Error())
}

func errText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

func TestFilesAndLogs(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r.ctl.run(alloc("a1", "batch", task("job")))
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	conn := r.ctl.conn()
	root := r.allocs + "/a1"
	os.WriteFile(root+"/job/local/out.txt", []byte("0123456789"), 0o644)
	os.WriteFile(root+"/alloc/logs/job.stdout.0", []byte("line 1\n"), 0o644)

	ls, err := rpc.FSList.Call(ctx, conn, &rpc.FSRequest{AllocID: "a1", Path: "/job"})
	if err != nil || len(ls.Files) != 4 {
		t.Fatalf("ls: %+v %v", ls, err)
	}
	read := func(q *rpc.FSReadRequest) (string, error) {
		next, err := rpc.FSRead.Call(ctx, conn, q)
		if err != nil {
			return "", err
		}
		text := ""
		for {
			c, err := next()
			if err == io.EOF {
				return text, nil
			}
			if err != nil {
				return text, err
			}
			text += string(c.Data)
		}
	}
	if text, err := read(&rpc.FSReadRequest{AllocID: "a1", Path: "job/local/out.txt", Offset: 3, Limit: 4}); text != "3456" || err != nil {
		t.Errorf("read %q %v", text, err)
	}
	if _, err := read(&rpc.FSReadRequest{AllocID: "a1", Path: "job/secrets/token"}); !errors.Is(err, rpc.ErrDenied) {
		t.Errorf("secrets: %v", err)
	}

	next, err := rpc.TaskLogs.Call(ctx, conn, &rpc.TaskLogsRequest{AllocID: "a1", Task: "job", Type: "stdout", Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := next()
	if err != nil || string(c.Data) != "line 1\n" || c.File != "job.stdout.0" {
		t.Fatalf("%+v %v", c, err)
	}
	if c, err = next(); err != nil || len(c.Data) != 0 || c.FileEvent != "" {
		t.Fatalf("no sign of life: %+v %v", c, err)
	}
	f, _ := os.OpenFile(root+"/alloc/logs/job.stdout.0", os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString("line 2\n")
	f.Close()
	r.world.task("job").exit(0)
	text := ""
	for {
		c, err := next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text += string(c.Data)
	}
	if text != "line 2\n" {
		t.Errorf("followed %q", text)
	}
	for name, q := range map[string]*rpc.TaskLogsRequest{
		"type": {AllocID: "a1", Task: "job", Type: "stdin"}, "origin": {AllocID: "a1", Task: "job", Type: "stdout", Origin: "middle"},
		"task": {AllocID: "a1", Task: "nope", Type: "stdout"},
	} {
		next, err := rpc.TaskLogs.Call(ctx, conn, q)
		if err == nil {
			_, err = next()
		}
		if !errors.Is(err, rpc.ErrInvalid) {
			t.Errorf("wrong %s: %v", name, err)
		}
	}
}

// What changes about drivers reaches the servers within a second; what changes all the time does not.
func TestRegistersAgain(t *testing.T) {
	r := newRig(t)
	r.ctl.conn()
	registrations := func() int {
		r.ctl.mu.Lock()
		defer r.ctl.mu.Unlock()
		return len(r.ctl.nodes)
	}
	eventually(t, "first registration", func() bool { return registrations() == 1 })
	first := r.ctl.nodes[0]
	if first.Attributes["driver.fake"] != "1" || first.Attributes["kernel.name"] == "what a plugin says" || first.Attributes["nomad.version"] == "" || first.SecretID == "" || len(first.Plugins) != 1 {
		t.Errorf("registered %+v", first)
	}
	r.world.setHealthy(true) // nothing new
	r.world.setHealthy(false)
	eventually(t, "second registration", func() bool { return registrations() >= 2 })
	r.ctl.mu.Lock()
	defer r.ctl.mu.Unlock()
	if len(r.ctl.nodes) != 2 || r.ctl.nodes[1].Drivers["fake"].Healthy {
		t.Errorf("%d registrations", len(r.ctl.nodes))
	}
}

// Reports that the servers refuse are repeated until they are taken.
func TestReportsAreRepeated(t *testing.T) {
	r := newRig(t)
	r.ctl.conn()
	r.ctl.mu.Lock()
	r.ctl.refuse = errors.New("no leader")
	r.ctl.mu.Unlock()
	r.ctl.run(alloc("a1", "batch", task("job")))
	eventually(t, "it runs", func() bool { return r.world.task("job") != nil })
	r.world.task("job").exit(0)
	r.ctl.mu.Lock()
	r.ctl.refuse = nil
	r.ctl.mu.Unlock()
	r.ctl.awaitStatus("a1", model.AllocClientComplete)
}

// Ending the node with its tasks leaves nothing.
func TestShutdownRemovesEverything(t *testing.T) {
	r := newRig(t)
	for _, id := range []string{"a1", "a2"} {
		r.ctl.run(alloc(id, "service", task("web"), task("post", func(t *model.Task) { t.Lifecycle = &model.Lifecycle{Hook: "poststop"} })))
		r.ctl.awaitStatus(id, model.AllocClientRunning)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.node.Shutdown(ctx, true); err != nil {
		t.Fatal(err)
	}
	r.stop = func() {}
	if n := len(r.world.running()); n > 0 {
		t.Errorf("%d tasks left", n)
	}
	entries, _ := os.ReadDir(r.allocs)
	if len(entries) != 1 { // .owner
		t.Errorf("left: %v", entries)
	}
	if r.logs.left() > 0 {
		t.Error("log streams left")
	}
}

func copyState(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to+"/client", os.DirFS(from+"/client")); err != nil {
		t.Fatal(err)
	}
}
