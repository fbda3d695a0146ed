package keeper

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

// spawn starts a keeper and returns when it has published its address or has
// ended, which it does at once if another one serves the directory. It has a
// console of its own that nobody sees: tasks share it, so that the keeper can
// send them console events.
func spawn(ctx context.Context, dir string, command []string) error {
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		command = []string{self, Verb}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make keeper directory: %w", err)
	}
	log, err := os.OpenFile(logPath(dir), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open keeper log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], "-dir", dir)...)
	cmd.Dir = dir
	cmd.Env = []string{"SystemRoot=" + os.Getenv("SystemRoot"), "PATH=" + os.Getenv("PATH")}
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start keeper: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	// There is no event to wait for: the address is a file.
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-ended:
			tick.Stop()
			return nil
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
			var c conn
			if _, err := dial(ctx, dir, &c); err == nil {
				c.Close()
				tick.Stop()
				return nil
			}
		}
	}
}
