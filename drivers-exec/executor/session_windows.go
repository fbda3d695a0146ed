package executor

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"

	"github.com/droverhq/drover/drivers-exec/executor/keeper"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// Run runs a command inside the task's job object to its end. When ctx ends
// the command is killed.
func (p *Process) Run(ctx context.Context, s Session) (proc.Exit, error) {
	select {
	case <-p.done:
		return proc.Exit{}, ErrEnded
	default:
	}
	cmd := exec.CommandContext(ctx, s.Path, s.Args[1:]...)
	cmd.Env, cmd.Dir = s.Env, p.state.Inside.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Stdin, s.Stdout, s.Stderr
	if err := cmd.Start(); err != nil {
		return proc.Exit{}, err
	}
	p.enterJob(cmd.Process.Pid)
	err := cmd.Wait()
	if ctx.Err() != nil {
		return proc.Exit{}, ctx.Err()
	}
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return proc.Exit{}, err
	}
	return proc.Exit{Code: cmd.ProcessState.ExitCode(), At: time.Now()}, nil
}

// enterJob makes a command end with its task.
func (p *Process) enterJob(pid int) {
	job, err := p.openJob()
	if err != nil {
		return
	}
	defer windows.CloseHandle(job)
	h, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		return
	}
	defer windows.CloseHandle(h)
	_ = windows.AssignProcessToJobObject(job, h)
}

// openJob opens the task's job object by its name.
func (p *Process) openJob() (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(keeper.JobName(p.state.ID))
	if err != nil {
		return 0, err
	}
	h, err := windows.CreateJobObject(nil, name)
	if errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		err = nil
	}
	return h, err
}

// OpenTerminal is not there yet on Windows.
func (p *Process) OpenTerminal() (*Terminal, error) {
	return nil, errors.New("a terminal inside a task is not supported on Windows; run the command without one")
}

// Resize has no terminal to resize.
func (t *Terminal) Resize(int, int) error { return nil }

// LookPath finds the program of a command by the PATH of env.
func (p *Process) LookPath(name string, env []string) (string, error) {
	vars := map[string]string{}
	for _, e := range env {
		if k, v, ok := strings.Cut(e, "="); ok {
			vars[strings.ToUpper(k)] = v
		}
	}
	return FindCommand(name, p.state.Inside.Dir, vars)
}

// variants are the names that a program may have.
func variants(path string) []string {
	if filepath.Ext(path) != "" {
		return []string{path}
	}
	return []string{path + ".exe", path + ".com", path + ".cmd", path + ".bat"}
}

// executable reports whether a path is a file that can be run.
func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
