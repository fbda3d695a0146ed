package qemu

import (
	"bytes"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// runBounded runs a command that must not outlive the plugin, whatever ends
// it, and that gets no more than a few seconds of processor time: a guest that
// hangs spins. The second result is what it printed as errors.
func runBounded(cmd *exec.Cmd, cpuSeconds uint64) (string, error) {
	// The kernel sends the signal when the thread ends that started the
	// process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var text bytes.Buffer
	cmd.Stderr = &text
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	limit := unix.Rlimit{Cur: cpuSeconds, Max: cpuSeconds}
	if err := unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_CPU, &limit, nil); err != nil {
		_ = cmd.Process.Kill()
	}
	err := cmd.Wait()
	return text.String(), err
}
