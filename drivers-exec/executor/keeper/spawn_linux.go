package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// logPath is where a keeper's complaints go; there are none in normal times.
func logPath(dir string) string { return filepath.Join(dir, "keeper.log") }

// spawn starts a keeper and returns when it accepts clients or has ended,
// which it does at once if another one serves the directory.
func spawn(ctx context.Context, dir string, command []string) error {
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		command = []string{self, Verb}
	}
	if err := privateDir(dir); err != nil {
		return err
	}
	log, err := os.OpenFile(logPath(dir), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a keeper that was just leaving took the directory with it
	}
	if err != nil {
		return fmt.Errorf("open keeper log: %w", err)
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], "-dir", dir, "-ready", "3")...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stderr = log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("start keeper: %w", err)
	}
	go cmd.Wait() // ends with the keeper, or with us before it

	stop := context.AfterFunc(ctx, func() { r.SetReadDeadline(time.Now()) })
	defer stop()
	_, _ = io.Copy(io.Discard, r) // closed when ready, or by its end
	return nil
}

// privateDir makes dir for us alone and refuses one that others can write.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make keeper directory: %w", err)
	}
	st, err := os.Lstat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil // removed again by a keeper that was leaving
	}
	if err != nil {
		return err
	}
	if owner := st.Sys().(*syscall.Stat_t).Uid; !st.IsDir() || int(owner) != os.Geteuid() || st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("keeper directory %s must be a directory of user %d with mode 0700, it has %v and user %d", dir, os.Geteuid(), st.Mode(), owner)
	}
	return nil
}
