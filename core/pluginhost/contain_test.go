//go:build linux

package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
)

// A process that is stopped for a moment is left alone: nobody outside hears of it.
func TestBriefFreeze(t *testing.T) {
	r := newRoom(t)
	r.config.Limits.Ping = 5 * time.Second
	r.plugin("test")
	h := r.start()
	d := r.ready(h, "test")
	syscall.Kill(d.Pid(), syscall.SIGSTOP)
	wake := time.AfterFunc(time.Second, func() { syscall.Kill(d.Pid(), syscall.SIGCONT) })
	defer wake.Stop()
	if _, err := d.InspectTask(t.Context(), "nobody"); !errors.Is(err, ErrTaskNotFound) {
		t.Errorf("after the freeze: %v", err)
	}
	if s, _ := h.Watch(); !s.Drivers["test"].Healthy || info(s, "test", 1).PID != d.Pid() {
		t.Errorf("plugins:\n%s", table(s))
	}
}

// A process that answers nothing is killed and launched again, and the next one recovers its tasks.
func TestFrozenPluginIsReplaced(t *testing.T) {
	r := newRoom(t)
	r.config.Limits.Ping = 300 * time.Millisecond
	r.plugin("test")
	h := r.start()
	d := r.ready(h, "test")
	started, err := d.StartTask(t.Context(), r.task(d, "t", nil))
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := d.WaitTask(context.Background(), "t")
		waited <- err
	}()
	syscall.Kill(d.Pid(), syscall.SIGSTOP)
	<-d.Done()
	if err := <-waited; !errors.Is(err, ErrPluginDown) {
		t.Errorf("the wait ended with %v", err)
	}
	next, err := h.DriverOf(t.Context(), "test", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.RecoverTask(t.Context(), &started.Handle); err != nil || next.Pid() == d.Pid() {
		t.Errorf("recovered in pid %d (was %d): %v", next.Pid(), d.Pid(), err)
	}
	r.event(h, "died: killed by the agent: it left 3 probes unanswered")
	if p := h.Measured()[0]; p.Restarts != 1 || p.Usage.Timeouts == 0 || p.Usage.MemoryBytes == 0 {
		t.Errorf("shown %+v, usage %+v", p, p.Usage)
	}
}

// event reads the host's events until one with these words comes.
func (r *room) event(h *Host, words string) {
	r.t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case e := <-h.Events():
			if strings.Contains(e.Message, words) {
				return
			}
		case <-late:
			r.t.Fatalf("no event says %q", words)
		}
	}
}

// Calls that miss their deadline, with none answered between them, tell that the driver is stuck.
func TestGateNoticesAStuckDriver(t *testing.T) {
	late, failed := context.DeadlineExceeded, errors.New("no")
	tests := map[string]struct {
		began time.Duration // ago
		calls []error
		stuck bool
	}{
		"three in a row":            {2 * time.Minute, []error{late, late, late}, true},
		"within a moment":           {time.Second, []error{late, late, late, late}, false},
		"an answer between them":    {2 * time.Minute, []error{late, late, nil, late}, false},
		"an error is an answer":     {2 * time.Minute, []error{late, late, failed, late}, false},
		"one that we gave up is no": {2 * time.Minute, []error{late, errGivenUp, late, late}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGate(newTally())
			for _, err := range tt.calls {
				g.answered("StartTask", time.Now().Add(-tt.began), err)
			}
			select {
			case why := <-g.stuck:
				if !tt.stuck || !strings.Contains(why, "3 x StartTask") {
					t.Errorf("stuck: %s", why)
				}
			default:
				if tt.stuck {
					t.Error("not noticed")
				}
			}
		})
	}
}

// Starts that hang keep no stop from getting through, and only so many wait.
func TestGateBoundsCalls(t *testing.T) {
	count := newTally()
	g := newGate(count)
	g.turns[&laneStart] = newTurnstile(lane{most: 2, waiting: 1})
	var under []func(error)
	for range 2 {
		done, err := g.pass(t.Context(), host.Call{Method: "StartTask"})
		if err != nil {
			t.Fatal(err)
		}
		under = append(under, done)
	}
	third := make(chan error, 1)
	go func() {
		done, err := g.pass(context.Background(), host.Call{Method: "StartTask"})
		if err == nil {
			done(nil)
		}
		third <- err
	}()
	for turn := g.turns[&laneStart]; turn.queue(1); time.Sleep(time.Millisecond) { // until the third waits
		turn.queue(-1)
	}
	_, err := g.pass(t.Context(), host.Call{Method: "StartTask"})
	if !driver.IsRecoverable(err) || !strings.Contains(err.Error(), "2 calls are under way and 1 wait") {
		t.Fatalf("one too many: %v", err)
	}
	stop, err := g.pass(t.Context(), host.Call{Method: "StopTask"})
	if err != nil {
		t.Fatal(err)
	}
	stop(nil)
	under[0](nil)
	if err := <-third; err != nil {
		t.Error(err)
	}
	under[1](errors.New("no"))
	if u := count.usage(); u.Calls != 4 || u.Errors != 1 || u.Methods[0].Method != "StartTask" || u.Methods[0].Refused == 0 || u.Methods[0].InFlight != 0 {
		t.Errorf("counted %+v, %+v", u, u.Methods[0])
	}
}

// Each task has its own budget of events, and nobody speaks of others' tasks.
func TestTaskEventsAreBounded(t *testing.T) {
	r := newRoom(t)
	h, err := New(r.config)
	if err != nil {
		t.Fatal(err)
	}
	f := &family{host: h, file: "test"}
	g := newGeneration(f, 1, "")
	defer g.cancel()
	g.tasks["a1/web/00"], g.tasks["a2/db/00"] = nil, nil
	all, cancel := h.Subscribe("", "")
	defer cancel()
	post, now := eventPost{g: g, budgets: map[string]*bucket{}}, time.Now()
	heard := func() (texts []string) {
		for {
			select {
			case e := <-all:
				texts = append(texts, fmt.Sprintf("%s/%s %.20s", e.AllocID, e.TaskName, e.Message))
			default:
				return texts
			}
		}
	}
	post.deliver(driver.TaskEvent{TaskID: "a1/web/00", AllocID: "a2", TaskName: "db", Message: "lies"}, now)
	post.deliver(driver.TaskEvent{AllocID: "a2", TaskName: "db", Message: "no id"}, now)
	post.deliver(driver.TaskEvent{TaskID: "a3/x/00", AllocID: "a3", TaskName: "x", Message: "not ours"}, now)
	post.deliver(driver.TaskEvent{Message: strings.Repeat("x", 1<<20)}, now)
	if got, want := strings.Join(heard(), ", "), "a1/web lies, a2/db no id"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	const flood = 10_000
	n := 0
	for range flood {
		post.deliver(driver.TaskEvent{TaskID: "a1/web/00", Message: "flood"}, now)
		n += len(heard())
	}
	if n > eventBurst {
		t.Errorf("%d events of a flood", n)
	}
	post.deliver(driver.TaskEvent{TaskID: "a2/db/00", Message: "the other task"}, now)
	if got := heard(); len(got) != 1 {
		t.Errorf("the other task: %q", got)
	}
	if u := g.tally.usage(); u.EventsDropped != uint64(flood-n+2) {
		t.Errorf("%d dropped, want %d", u.EventsDropped, flood-n+2)
	}
	r.event(h, "sends more task events than are kept")
}

func TestTrimEvent(t *testing.T) {
	e := driver.TaskEvent{Message: "a\x1b[2Jb\n" + strings.Repeat("ü", 2000), Annotations: map[string]string{strings.Repeat("k", 200): "v"}}
	for i := range 100 {
		e.Annotations[fmt.Sprintf("k%03d", i)] = strings.Repeat("v", 5000)
	}
	e = trimEvent(e)
	if len(e.Annotations) != maxAnnotations || len(e.Annotations["k000"]) > maxDescription+3 || len(e.Message) > maxDescription+3 {
		t.Errorf("%d annotations, message of %d bytes", len(e.Annotations), len(e.Message))
	}
	if strings.Contains(e.Message, "\x1b") || !strings.Contains(e.Message, "b\nü") {
		t.Errorf("message %.20q", e.Message)
	}
}

func TestCheckHandle(t *testing.T) {
	good := host.StartResult{Handle: driver.TaskHandle{Config: driver.TaskConfig{ID: "t"}, DriverState: []byte("s")}}
	tests := map[string]struct {
		change func(*host.StartResult)
		want   string
	}{
		"good":           {func(*host.StartResult) {}, ""},
		"another's":      {func(r *host.StartResult) { r.Handle.Config.ID = "u" }, "the handle of another task"},
		"a huge state":   {func(r *host.StartResult) { r.Handle.DriverState = make([]byte, 2<<20) }, "a state of 2097152 bytes"},
		"a huge address": {func(r *host.StartResult) { r.Network = &driver.NetworkOverride{Addr: strings.Repeat("1", 500)} }, "with 0 ports"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			res := good
			tt.change(&res)
			err := checkHandle(&driver.TaskConfig{ID: "t"}, &res)
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}
