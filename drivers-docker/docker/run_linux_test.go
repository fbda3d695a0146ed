package docker

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/drivers-docker/spec"
	"github.com/droverhq/drover/sdk/driver"
)

func TestExitCodesAndOutput(t *testing.T) {
	r := newRig(t, nil).launch()
	for name, test := range map[string]struct {
		script, out, err string
		code             int
		more             map[string]any
	}{
		"success":            {script: "echo hello; echo oops >&2", out: "hello\n", err: "oops\n"},
		"failure":            {script: "echo no; exit 3", out: "no\n", code: 3},
		"no end of line":     {script: "printf abc", out: "abc"},
		"long line":          {script: "head -c 100000 /dev/zero | tr '\\0' x; echo", out: strings.Repeat("x", 100000) + "\n"},
		"terminal":           {script: "echo one; echo two >&2", out: "one\r\ntwo\r\n", more: map[string]any{"tty": true}},
		"terminal long line": {script: "stty -opost; head -c 40000 /dev/zero | tr '\\0' y; echo; echo end", out: strings.Repeat("y", 40000) + "\nend\n", more: map[string]any{"tty": true}},
		"directories":        {script: "ls -d /alloc /local /secrets /alloc/logs; touch /local/x; touch /alloc/logs/x 2>/dev/null || echo read-only", out: "/alloc\n/alloc/logs\n/local\n/secrets\nread-only\n"},
		"environment":        {script: "echo $GREETING $NOMAD_TASK_DIR", out: "/local\n"},
		"image's args":       {script: "echo $0 $1", out: "/bin/sh\n"},
	} {
		t.Run(name, func(t *testing.T) {
			task := r.task(test.script, test.more)
			r.start(task)
			exit := r.wait(task)
			if exit.ExitCode != test.code || exit.OOMKilled || (exit.Err == "") != (test.code == 0) {
				t.Errorf("exit %+v, want code %d", exit, test.code)
			}
			if got := r.out(task); got != test.out {
				t.Errorf("stdout %.200q (%d bytes)\nwant   %.200q (%d bytes)", got, len(got), test.out, len(test.out))
			}
			if got := r.err(task); got != test.err {
				t.Errorf("stderr %q, want %q", got, test.err)
			}
		})
	}
}

func TestStop(t *testing.T) {
	r := newRig(t, nil).launch()
	const catcher = `trap 'echo term; exit 7' TERM; trap 'echo usr1; exit 8' USR1; echo ready; while :; do sleep 0.05; done`
	for name, test := range map[string]struct {
		script, signal string
		timeout        time.Duration
		code           int
		out            string
	}{
		"the image's signal": {catcher, "", 20 * time.Second, 7, "ready\nterm\n"},
		"the task's signal":  {catcher, "SIGUSR1", 20 * time.Second, 8, "ready\nusr1\n"},
		"deaf":               {`trap '' TERM; echo ready; while :; do sleep 0.05; done`, "", time.Second, 137, "ready\n"},
		"deaf to the task's": {`trap '' USR2; echo ready; while :; do sleep 0.05; done`, "SIGUSR2", 100 * time.Millisecond, 137, "ready\n"},
	} {
		t.Run(name, func(t *testing.T) {
			task := r.task(test.script, nil)
			r.start(task)
			r.until("the task is ready", func() bool { return r.out(task) != "" })
			if err := r.driver.StopTask(t.Context(), task.ID, test.timeout, test.signal); err != nil {
				t.Fatal(err)
			}
			if exit := r.wait(task); exit.ExitCode != test.code {
				t.Errorf("exit %+v, want code %d", exit, test.code)
			}
			if got := r.out(task); got != test.out {
				t.Errorf("output %q, want %q", got, test.out)
			}
		})
	}
}

func TestSignal(t *testing.T) {
	r := newRig(t, nil).launch()
	task := r.task(`trap 'echo hup' HUP; echo ready; while :; do sleep 0.05; done`, nil)
	r.start(task)
	r.until("the task is ready", func() bool { return r.out(task) != "" })
	if err := r.driver.SignalTask(t.Context(), task.ID, "SIGHUP"); err != nil {
		t.Fatal(err)
	}
	r.until("the signal arrives", func() bool { return r.out(task) == "ready\nhup\n" })
	if err := r.driver.SignalTask(t.Context(), task.ID, "SIGNONSENSE"); err == nil {
		t.Error("a signal that does not exist was sent")
	}
}

func TestExec(t *testing.T) {
	r := newRig(t, nil).launch()
	task := r.task("sleep 1000", nil)
	r.start(task)
	if out, exit := r.exec(task, "sh", "-c", "echo in; exit 5"); out != "in\n" || exit.ExitCode != 5 {
		t.Errorf("got %q, %+v", out, exit)
	}
	if out, exit := r.exec(task, "/nothing"); exit.ExitCode != 126 && exit.ExitCode != 127 {
		t.Errorf("a command that is not there: %q, %+v", out, exit)
	}
	var out, errs bytes.Buffer
	exit, err := r.driver.ExecTaskStreaming(t.Context(), &driver.ExecRequest{
		TaskID: task.ID, Command: []string{"sh", "-c", "cat; echo err >&2"}, Stdin: strings.NewReader("typed"), Stdout: &out, Stderr: &errs,
	})
	if err != nil || exit.ExitCode != 0 || out.String() != "typed" || errs.String() != "err\n" {
		t.Errorf("got %+v, %v, %q, %q", exit, err, out.String(), errs.String())
	}
	out.Reset()
	sizes := make(chan driver.TerminalSize, 1)
	sizes <- driver.TerminalSize{Height: 33, Width: 77}
	exit, err = r.driver.ExecTaskStreaming(t.Context(), &driver.ExecRequest{
		TaskID: task.ID, Command: []string{"sh", "-c", "while [ \"$(stty size 2>/dev/null)\" != '33 77' ]; do sleep 0.02; done; stty size"}, TTY: true,
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Resize: sizes,
	})
	if err != nil || exit.ExitCode != 0 || out.String() != "33 77\r\n" {
		t.Errorf("terminal: got %+v, %v, %q", exit, err, out.String())
	}
}

// A command that is given up does not stay in the container.
func TestExecIsKilled(t *testing.T) {
	r := newRig(t, nil).launch()
	task := r.task("sleep 1000", nil)
	r.start(task)
	if _, err := r.driver.ExecTask(t.Context(), task.ID, []string{"sleep", "4321"}, 500*time.Millisecond); err == nil {
		t.Fatal("no timeout")
	}
	r.until("the command is gone", func() bool {
		out, _ := r.exec(task, "ps")
		return !strings.Contains(out, "4321")
	})
}

func TestStatsAndLimits(t *testing.T) {
	r := newRig(t, map[string]any{"pids_limit": 50}).launch()
	task := r.task("while :; do :; done", map[string]any{
		"ulimit": []any{map[string]any{"nofile": "100:200"}}, "sysctl": []any{map[string]any{"net.core.somaxconn": "300"}},
		"pids_limit": 20, "cpu_hard_limit": true, "readonly_rootfs": true, "shm_size": 1 << 20, "hostname": "shell", "oom_score_adj": 100,
		"extra_hosts": []any{"db:10.1.2.3"}, "labels": []any{map[string]any{"team": "a"}}, "init": true,
	})
	task.Resources.MemoryMaxMB = 128
	r.start(task)
	samples := 0
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_ = r.driver.Stats(ctx, task.ID, 200*time.Millisecond, func(s driver.TaskStats) error {
		samples++
		if samples < 3 {
			return nil
		}
		defer cancel()
		u := s.Usage
		if u.CPU.Percent < 1 || u.CPU.Percent > 100 || u.CPU.TotalTicks <= 0 || u.Memory.Usage == 0 || u.Memory.RSS == 0 || len(u.Memory.Measured) < 4 {
			t.Errorf("got %+v", u)
		}
		return nil
	})
	if samples < 3 {
		t.Errorf("only %d samples", samples)
	}
	c := r.inspect(task)
	h := c.HostConfig
	if h.Memory != 128<<20 || h.MemoryReservation != 64<<20 || h.MemorySwap != h.Memory || *h.PidsLimit != 20 || h.CPUShares != 100 || h.CPUQuota != 10000 || h.OomScoreAdj != 100 || h.Ulimits[0].Soft != 100 || h.Ulimits[0].Hard != 200 {
		t.Errorf("limits %+v", h.Resources)
	}
	if c.Config.Labels["team"] != "a" || c.Config.Labels[spec.LabelNode] != r.nodeID || c.Config.Labels["com.hashicorp.nomad.alloc_id"] != r.nodeID {
		t.Errorf("labels %v", c.Config.Labels)
	}
	out, _ := r.exec(task, "sh", "-c", "cat /proc/sys/net/core/somaxconn; hostname; touch /x 2>/dev/null || echo read-only; grep db /etc/hosts; grep CapEff /proc/self/status")
	if want := "300\nshell\nread-only\n10.1.2.3\tdb\nCapEff:\t00000000a80405fb\n"; out != want {
		t.Errorf("inside: %q\nwant    %q", out, want)
	}
}

func TestOutOfMemory(t *testing.T) {
	r := newRig(t, nil).launch()
	task := r.task("x=0123456789; while :; do x=$x$x; done", nil)
	task.Resources.MemoryMB = 16
	r.start(task)
	if exit := r.wait(task); !exit.OOMKilled || exit.Err != "OOM Killed" {
		t.Errorf("exit %+v", exit)
	}
}
