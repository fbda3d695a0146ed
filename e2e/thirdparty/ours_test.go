package thirdparty

import (
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/drivers/proto"

	"github.com/droverhq/drover/e2e/harness"
)

// Our raw_exec, driven by the other project's own client, call by call.
func TestRawExecUnderTheOtherHost(t *testing.T) {
	h := newHost(t, "plugins/drover-driver-raw-exec", `{"enabled": true}`)

	t.Run("what it is", func(t *testing.T) {
		info, err := h.PluginInfo()
		if err != nil || info.Type != base.PluginTypeDriver || info.Name != "raw_exec" || info.PluginVersion == "" ||
			len(info.PluginApiVersions) != 1 || info.PluginApiVersions[0] != drivers.ApiVersion010 {
			t.Errorf("info %+v, %v", info, err)
		}
		caps, err := h.Capabilities()
		if err != nil || !caps.SendSignals || !caps.Exec || caps.FSIsolation != drivers.FSIsolationNone || caps.MustInitiateNetwork {
			t.Errorf("capabilities %+v, %v", caps, err)
		}
		ch, err := h.Fingerprint(timeout(t))
		if err != nil {
			t.Fatal(err)
		}
		fp := next(t, ch, "fingerprint")
		if fp.Err != nil || fp.Health != drivers.HealthStateHealthy || fp.Attributes["driver.raw_exec"] == nil {
			t.Errorf("fingerprint %+v", fp)
		}
	})
	t.Run("its schema refuses what it does not know", func(t *testing.T) {
		schema, err := h.TaskConfigSchema()
		if err != nil {
			t.Fatal(err)
		}
		for name, config := range map[string]string{
			"unknown key": `{"command": "/bin/true", "comand": "x"}`, "missing key": `{"args": []}`, "wrong type": `{"command": "x", "args": {"a": 1}}`,
		} {
			if _, err := value(t, schema, config); err == nil {
				t.Errorf("%s: accepted %s", name, config)
			}
		}
	})

	c := h.task("1", `{"command": "/bin/sh", "args": ["-c", "trap 'echo hup' HUP; trap 'exit 7' TERM; echo to out $NOMAD_TASK_NAME; echo to err >&2; while true; do sleep 0.05; done"]}`)
	handle, network, err := h.StartTask(c)
	if err != nil || network != nil || len(handle.DriverState) == 0 || handle.Version == 0 {
		t.Fatalf("start: handle %+v, network %v, %v", handle, network, err)
	}
	h.logs(c.StdoutPath, "to out t\n")
	h.logs(c.StderrPath, "to err\n")

	t.Run("twice", func(t *testing.T) {
		if _, _, err := h.StartTask(c); err == nil {
			t.Error("the same id started twice")
		}
	})
	t.Run("inspect", func(t *testing.T) {
		st, err := h.InspectTask(c.ID)
		if err != nil || st.ID != c.ID || st.Name != "t" || st.State != drivers.TaskStateRunning || time.Since(st.StartedAt) > time.Minute || st.ExitResult == nil {
			t.Errorf("status %+v, %v", st, err)
		}
	})
	t.Run("stats", func(t *testing.T) {
		ctx, cancel := context.WithCancel(timeout(t))
		defer cancel()
		ch, err := h.TaskStats(ctx, c.ID, 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, limit, "memory is measured", func() error {
			s := next(t, ch, "stats")
			if s.Timestamp == 0 || s.ResourceUsage.MemoryStats.RSS+s.ResourceUsage.MemoryStats.Usage == 0 || len(s.ResourceUsage.CpuStats.Measured) == 0 {
				return fmt.Errorf("%s", harness.Pretty(s))
			}
			return nil
		})
	})
	t.Run("signal", func(t *testing.T) {
		if err := h.SignalTask(c.ID, "SIGHUP"); err != nil {
			t.Fatal(err)
		}
		h.logs(c.StdoutPath, "hup\n")
		if err := h.SignalTask(c.ID, "SIGNONSENSE"); err == nil {
			t.Error("a signal that does not exist was sent")
		}
	})
	t.Run("exec", func(t *testing.T) {
		r, err := h.ExecTask(c.ID, []string{"/bin/sh", "-c", "echo out; echo err >&2; exit 3"}, limit)
		if err != nil || string(r.Stdout) != "out\n" || string(r.Stderr) != "err\n" || r.ExitResult.ExitCode != 3 {
			t.Errorf("exec %+v, %v", r, err)
		}
	})
	t.Run("exec with streams", func(t *testing.T) {
		s := &stream{ctx: timeout(t), in: []string{"line 1\n", "line 2\n"}}
		err := h.DriverPlugin.(drivers.ExecTaskStreamingRawDriver).ExecTaskStreamingRaw(s.ctx, c.ID, []string{"/bin/sh", "-c", "cat; echo done >&2; exit 4"}, false, s)
		if err != nil || s.out.String() != "line 1\nline 2\n" || s.err.String() != "done\n" || s.code != 4 {
			t.Errorf("stdout %q, stderr %q, exit %d, %v", s.out.String(), s.err.String(), s.code, err)
		}
	})
	t.Run("recovered by a new process", func(t *testing.T) {
		h.kill9()
		h.launch(`{"enabled": true}`)
		if _, err := h.InspectTask(c.ID); err == nil || !strings.Contains(err.Error(), drivers.ErrTaskNotFound.Error()) {
			t.Errorf("before the recovery: %v", err)
		}
		for range 2 { // a second time changes nothing
			if err := h.RecoverTask(handle); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.SignalTask(c.ID, "SIGHUP"); err != nil {
			t.Fatal(err)
		}
		h.logs(c.StdoutPath, "hup\nhup\n")
	})
	t.Run("wait, stop, destroy", func(t *testing.T) {
		waits, err := h.WaitTask(timeout(t), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.DestroyTask(c.ID, false); err == nil {
			t.Fatal("a running task was destroyed without force")
		}
		if err := h.StopTask(c.ID, limit, "SIGTERM"); err != nil {
			t.Fatal(err)
		}
		if r := next(t, waits, "exit"); r.ExitCode != 7 || r.Signal != 0 || r.Err != nil {
			t.Errorf("result %+v", r)
		}
		if r := h.exit(c.ID); r.ExitCode != 7 {
			t.Errorf("asked again: %+v", r)
		}
		st, err := h.InspectTask(c.ID)
		if err != nil || st.State != drivers.TaskStateExited || st.CompletedAt.Before(st.StartedAt) || st.ExitResult.ExitCode != 7 {
			t.Errorf("status %+v, %v", st, err)
		}
		if err := h.DestroyTask(c.ID, false); err != nil {
			t.Fatal(err)
		}
		if _, err := h.InspectTask(c.ID); err == nil || !strings.Contains(err.Error(), drivers.ErrTaskNotFound.Error()) {
			t.Errorf("after the destruction: %v", err)
		}
	})
	t.Run("a start that fails", func(t *testing.T) {
		c := h.task("2", `{"command": "/nonexistent"}`)
		if _, _, err := h.StartTask(c); err == nil || !strings.Contains(err.Error(), "/nonexistent") {
			t.Errorf("start: %v", err)
		}
	})
	t.Run("killed, with force", func(t *testing.T) {
		c := h.task("3", `{"command": "/bin/sh", "args": ["-c", "trap '' TERM INT; echo deaf; while true; do sleep 0.05; done"]}`)
		if _, _, err := h.StartTask(c); err != nil {
			t.Fatal(err)
		}
		h.logs(c.StdoutPath, "deaf\n")
		if err := h.StopTask(c.ID, 100*time.Millisecond, "SIGTERM"); err != nil {
			t.Fatal(err)
		}
		if r := h.exit(c.ID); r.Signal != int(syscall.SIGKILL) || r.ExitCode != 137 {
			t.Errorf("result %+v", r)
		}
		if err := h.DestroyTask(c.ID, true); err != nil {
			t.Error(err)
		}
	})
	t.Run("ended while no plugin ran", func(t *testing.T) {
		c := h.task("4", `{"command": "/bin/sh", "args": ["-c", "echo up; while [ ! -e $NOMAD_TASK_DIR/go ]; do sleep 0.02; done; exit 11"]}`)
		handle, _, err := h.StartTask(c)
		if err != nil {
			t.Fatal(err)
		}
		h.logs(c.StdoutPath, "up\n")
		h.kill9()
		touch(t, h.dir+"/t/local/go")
		harness.Eventually(t, limit, "the task ends", func() error {
			for _, p := range processes(h.dir) {
				if strings.Contains(p, "echo up") {
					return fmt.Errorf("%s", p)
				}
			}
			return nil
		})
		h.launch(`{"enabled": true}`)
		if err := h.RecoverTask(handle); err != nil {
			t.Fatal(err)
		}
		if r := h.exit(c.ID); r.ExitCode != 11 {
			t.Errorf("result %+v", r)
		}
		if err := h.DestroyTask(c.ID, true); err != nil {
			t.Error(err)
		}
	})
	t.Run("reattached by a second client", func(t *testing.T) {
		pid := h.client.ReattachConfig().Pid
		second := reattach(h)
		if info, err := second.PluginInfo(); err != nil || info.Name != "raw_exec" {
			t.Errorf("info %+v, %v", info, err)
		}
		if now := h.client.ReattachConfig().Pid; now != pid {
			t.Errorf("pid %d, was %d", now, pid)
		}
	})
}

// Our mock driver shows what raw_exec never does: recoverable errors, events, network, odd exits.
func TestMockUnderTheOtherHost(t *testing.T) {
	h := newHost(t, "examples/drover-driver-mock", `{"attributes": {"driver.mock.colour": "red"}}`)

	t.Run("fingerprint", func(t *testing.T) {
		ch, err := h.Fingerprint(timeout(t))
		if err != nil {
			t.Fatal(err)
		}
		fp := next(t, ch, "fingerprint")
		if a := fp.Attributes["driver.mock.colour"]; a == nil || a.String == nil || *a.String != "red" {
			t.Errorf("fingerprint %s", harness.Pretty(fp))
		}
	})
	t.Run("recoverable and not", func(t *testing.T) {
		for config, want := range map[string]bool{
			`{"start_error": "try again", "start_error_recoverable": true}`: true,
			`{"start_error": "never"}`:                                      false,
		} {
			_, _, err := h.StartTask(h.task(fmt.Sprint("f", want), config))
			if err == nil || recoverable(err) != want {
				t.Errorf("%s: recoverable %v, %v", config, recoverable(err), err)
			}
		}
	})
	t.Run("network, events, exit", func(t *testing.T) {
		events, err := h.TaskEvents(timeout(t))
		if err != nil {
			t.Fatal(err)
		}
		c := h.task("1", `{"run_for": "100ms", "exit_code": 3, "oom_killed": true, "exit_err_msg": "odd", "events": ["first", "second"], "stdout_string": "said",
			"driver_ip": "10.1.2.3", "driver_port_map": [{"http": 80}], "driver_advertise": true}`)
		_, network, err := h.StartTask(c)
		if err != nil {
			t.Fatal(err)
		}
		if network == nil || network.IP != "10.1.2.3" || network.PortMap["http"] != 80 || !network.AutoAdvertise {
			t.Errorf("network %+v", network)
		}
		for _, want := range []string{"first", "second"} {
			if e := next(t, events, "event"); e.Err != nil || e.Message != want || e.TaskID != c.ID || e.AllocID != "a10c" || e.TaskName != "t" {
				t.Errorf("event %+v, want %s", e, want)
			}
		}
		h.logs(c.StdoutPath, "said")
		r := h.exit(c.ID)
		if r.ExitCode != 3 || !r.OOMKilled || r.Err == nil || !strings.Contains(r.Err.Error(), "odd") {
			t.Errorf("result %+v", r)
		}
		if err := h.DestroyTask(c.ID, true); err != nil {
			t.Error(err)
		}
	})
}

// stream is the caller's side of an exec.
type stream struct {
	ctx      context.Context
	in       []string
	closed   bool
	out, err strings.Builder
	code     int
}

func (s *stream) Send(m *drivers.ExecTaskStreamingResponseMsg) error {
	s.out.Write(m.GetStdout().GetData())
	s.err.Write(m.GetStderr().GetData())
	if m.Exited {
		s.code = int(m.GetResult().GetExitCode())
	}
	return nil
}

func (s *stream) Recv() (*drivers.ExecTaskStreamingRequestMsg, error) {
	if len(s.in) > 0 {
		data := s.in[0]
		s.in = s.in[1:]
		return &drivers.ExecTaskStreamingRequestMsg{Stdin: &proto.ExecTaskStreamingIOOperation{Data: []byte(data)}}, nil
	}
	if !s.closed {
		s.closed = true
		return &drivers.ExecTaskStreamingRequestMsg{Stdin: &proto.ExecTaskStreamingIOOperation{Close: true}}, nil
	}
	<-s.ctx.Done()
	return nil, io.EOF
}
