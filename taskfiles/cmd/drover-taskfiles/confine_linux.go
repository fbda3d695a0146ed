package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nobody is the user the helper runs as when it is started by root.
const nobody = 65534

// maxMemory bounds the helper's address space, in bytes: a template that grows without end ends the helper, not the
// machine.
const maxMemory = 4 << 30

// confine gives up what the helper does not need: root, new privileges, and, where the kernel has Landlock, every file
// but those of the system (read) and those beneath dir (written). It comes before anything from outside is looked at.
func confine(dir string) error {
	if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: maxMemory, Max: maxMemory}); err != nil {
		return fmt.Errorf("bound memory: %w", err)
	}
	os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0) // best effort: rather the helper than a task
	// This acts on every thread, as landlock does, which Go offers to programs built without cgo only.
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		return fmt.Errorf("no new privileges (build with CGO_ENABLED=0): %w", errno)
	}
	if err := landlock(dir); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return nil
	}
	if dir != "" {
		if err := untouched(dir); err != nil {
			return err
		}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			return err
		}
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("give up groups: %w", err)
	}
	if err := syscall.Setgid(nobody); err != nil {
		return fmt.Errorf("give up root's group: %w", err)
	}
	if err := syscall.Setuid(nobody); err != nil {
		return fmt.Errorf("give up root: %w", err)
	}
	return nil
}

// untouched refuses a directory that is not as the node has just made it: another task of the allocation can put a link to
// one of the host's in its place, which must not be given away.
func untouched(dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if owner, ok := st.Sys().(*syscall.Stat_t); !ok || owner.Uid != 0 || st.Mode() != fs.ModeDir|0o700 || len(entries) > 0 {
		return errors.New("the directory to fetch into is not the one that was made for it: a task has replaced it")
	}
	return nil
}

// readable is what fetching needs of the system: programs, libraries, name service and certificates.
var readable = []string{
	"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr", "/etc", "/dev/null", "/dev/urandom", "/dev/random", "/dev/zero", "/proc", "/run/systemd/resolve",
}

// Access rights of Landlock's first version, which every kernel with Landlock has.
const (
	readFiles = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	allFiles  = 1<<13 - 1
	onFiles   = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
)

// landlock restricts the process and what it starts. Kernels without it leave the user's rights as the only bound.
func landlock(dir string) error {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: allFiles}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), 8, 0)
	if errno != 0 {
		return nil
	}
	ruleset := int(fd)
	defer unix.Close(ruleset)
	allow := func(path string, access uint64) error {
		f, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil // it is not there
		}
		defer unix.Close(f)
		var st unix.Stat_t
		if err := unix.Fstat(f, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			access &= onFiles
		}
		rule := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(f)}
		if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0); errno != 0 {
			return fmt.Errorf("landlock: allow %s: %w", path, errno)
		}
		return nil
	}
	if dir != "" {
		for _, path := range readable {
			if err := allow(path, readFiles); err != nil {
				return err
			}
		}
		if err := allow("/dev/null", onFiles); err != nil {
			return err
		}
		if err := allow(dir, allFiles); err != nil {
			return err
		}
	}
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(ruleset), 0, 0); errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	}
	return nil
}
