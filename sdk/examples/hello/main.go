//go:build linux

// Hello is a complete task driver: it runs a command as a process. Tasks outlive it, and after a restart it finds them
// again and knows how they ended, because a shell writes each task's exit code to a file.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
)

// config is a task's config block; state is what finds the task again.
type config struct {
	Command string   `config:"command,required"`
	Args    []string `config:"args"`
}
type state struct {
	PID      int
	Started  string // a pid alone may belong to somebody else by now
	ExitFile string
}

type hello struct{ tasks sync.Map } // id -> state

func main() { plugin.Serve(newPlugin()) }
func newPlugin() plugin.Plugin {
	return driver.New(driver.Info{Name: "hello", Version: "0.1.0"}, &hello{})
}

func (h *hello) Fingerprint(context.Context) (*driver.Fingerprint, error) {
	_, err := exec.LookPath("sh") // an error makes the driver unhealthy
	return &driver.Fingerprint{Health: driver.Healthy}, err
}

func (h *hello) Start(_ context.Context, r *driver.StartRequest[config]) (*driver.StartResponse[state], error) {
	s := state{ExitFile: filepath.Join(r.Task.TaskDir(), "."+filepath.Base(r.Task.ID)+".exit")}
	script := `trap : TERM; exec >"$1" 2>"$2"; shift 2; "$@"; echo $? >"$0.tmp"; mv "$0.tmp" "$0"`
	args := []string{"-c", script, s.ExitFile, r.Task.StdoutPath, r.Task.StderrPath, r.Config.Command}
	cmd := exec.Command("sh", append(args, r.Config.Args...)...)
	cmd.Dir, cmd.SysProcAttr = r.Task.TaskDir(), &syscall.SysProcAttr{Setsid: true}
	for key, value := range r.Task.Env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	if err := cmd.Start(); err != nil {
		return nil, driver.Recoverable(err)
	}
	s.PID, s.Started = cmd.Process.Pid, startTime(cmd.Process.Pid)
	h.tasks.Store(r.Task.ID, s)
	go cmd.Wait() // reaps; Wait below reads the file
	return &driver.StartResponse[state]{State: s}, nil
}

func (h *hello) Recover(_ context.Context, r *driver.RecoverRequest[config, state]) error {
	h.tasks.Store(r.Task.ID, r.State)
	return nil // Wait tells how it ended, if it did
}

func (h *hello) Wait(ctx context.Context, id string) (*driver.ExitResult, error) {
	s := h.task(id)
	for gone := false; ; gone = !s.running() {
		if text, err := os.ReadFile(s.ExitFile); err == nil {
			code, err := strconv.Atoi(strings.TrimSpace(string(text)))
			return &driver.ExitResult{ExitCode: code}, err
		} else if gone { // only SIGKILL keeps the shell from writing
			return &driver.ExitResult{ExitCode: 137, Signal: 9}, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (h *hello) Stop(_ context.Context, r *driver.StopRequest) error {
	s := h.task(r.TaskID)
	for end := time.Now().Add(r.Timeout); s.running(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			_ = syscall.Kill(-s.PID, syscall.SIGKILL) // it may just have ended
			return nil
		}
		_ = syscall.Kill(-s.PID, syscall.SIGTERM) // a better driver sends r.Signal
	}
	return nil
}

func (h *hello) Destroy(ctx context.Context, r *driver.DestroyRequest) error {
	defer h.tasks.Delete(r.TaskID)
	defer os.Remove(h.task(r.TaskID).ExitFile)
	return h.Stop(ctx, &driver.StopRequest{TaskID: r.TaskID})
}

func (h *hello) task(id string) state {
	v, _ := h.tasks.Load(id)
	s, _ := v.(state) // nothing when Wait begins just after Destroy has ended: no process, so it is gone
	return s
}

func (s state) running() bool { return s.PID != 0 && startTime(s.PID) == s.Started }

// startTime is when the process started, in ticks since boot; empty if there is none, or only a zombie.
func startTime(pid int) string {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(stat)[strings.LastIndexByte(string(stat), ')')+1:])
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}
