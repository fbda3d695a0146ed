package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errLeaves is what a path is told that a link leads elsewhere with.
var errLeaves = errors.New("leads out of the task's directories through a symbolic link")

// pin opens what is at rel below area, following no link out of it, and mounts what it opened into the private directory: the
// path it returns stays that. Where this process cannot mount, or the engine does not see its mounts, it returns the path
// that was checked, which tasks can change until the engine uses it.
func (p *private) pin(area, rel string, create bool) (string, error) {
	f, err := openBelow(area, rel)
	if errors.Is(err, fs.ErrNotExist) && create {
		if err = makeBelow(area, rel); err == nil {
			f, err = openBelow(area, rel)
		}
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("cannot be looked at: %w", err)
	}
	handle := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	if os.Geteuid() == 0 {
		point, err := p.mount(handle, st)
		if err != nil || point != "" {
			return point, err
		}
	}
	real, err := os.Readlink(handle)
	if err != nil {
		return "", fmt.Errorf("cannot be looked at: %w", err)
	}
	return real, nil
}

// mount returns where handle is mounted; empty if it cannot be, or if the engine would not find it there.
func (p *private) mount(handle string, st os.FileInfo) (string, error) {
	point := p.next()
	var err error
	if st.IsDir() {
		err = os.Mkdir(point, privateMode)
	} else {
		var f *os.File
		if f, err = os.OpenFile(point, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return "", fmt.Errorf("cannot be held fast: %w", err)
	}
	err = unix.Mount(handle, point, "", unix.MS_BIND, "")
	if errors.Is(err, unix.EPERM) || err == nil && !p.sees(point, st) {
		return "", errors.Join(unpin(point), os.Remove(point))
	}
	if err != nil {
		return "", fmt.Errorf("cannot be held fast by a mount: %w", err)
	}
	return point, nil
}

// unpin takes back what is mounted at a path. It leaves the group of mounts that the original is in first, so that nothing
// is unmounted elsewhere.
func unpin(path string) error {
	for {
		err := unix.Mount("", path, "", unix.MS_PRIVATE|unix.MS_REC, "")
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOENT) {
			return nil // nothing is mounted
		}
		if err == nil {
			err = unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
}

// openBelow opens what is at rel below area, for its place only: nothing is read, nothing waits. area itself is no link.
func openBelow(area, rel string) (*os.File, error) {
	const place = unix.O_PATH | unix.O_CLOEXEC
	root, err := unix.Open(area, place|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, reason(err)
	}
	top := os.NewFile(uintptr(root), area)
	st, err := top.Stat()
	if err == nil && st.Mode()&fs.ModeSymlink != 0 {
		err = errLeaves
	}
	if err == nil && rel == "." {
		return top, nil
	}
	defer top.Close()
	if err != nil {
		return nil, err
	}
	var fd int
	for range 100 { // the kernel gives up when something is renamed meanwhile
		fd, err = unix.Openat2(root, rel, &unix.OpenHow{Flags: place, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS})
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.ENOSYS) {
		return stepBelow(root, rel)
	}
	if err != nil {
		return nil, reason(err)
	}
	return os.NewFile(uintptr(fd), filepath.Join(area, rel)), nil
}

// stepBelow is openBelow for kernels before 5.6: it follows no link at all.
func stepBelow(root int, rel string) (*os.File, error) {
	at, err := unix.Dup(root)
	for _, name := range strings.Split(rel, "/") {
		if err != nil {
			return nil, reason(err)
		}
		var st unix.Stat_t
		var fd int
		if fd, err = unix.Openat(at, name, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0); err == nil {
			if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
				err = unix.ELOOP
			}
			if err != nil {
				_ = unix.Close(fd)
			}
		}
		_ = unix.Close(at)
		at = fd
	}
	if err != nil {
		return nil, reason(err)
	}
	return os.NewFile(uintptr(at), rel), nil
}

// makeBelow makes the directories of a path, as an engine does for a volume that is not there.
func makeBelow(area, rel string) error {
	if err := os.Mkdir(area, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return reason(err)
	}
	if rel == "." {
		return nil
	}
	root, err := os.OpenRoot(area)
	if err != nil {
		return reason(err)
	}
	defer root.Close()
	if err := root.MkdirAll(rel, 0o755); err != nil {
		return fmt.Errorf("cannot be made: %w", err)
	}
	return nil
}

// reason words a refusal of the kernel.
func reason(err error) error {
	switch {
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.ELOOP):
		return errLeaves
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("does not exist: %w", fs.ErrNotExist)
	}
	return fmt.Errorf("cannot be opened: %w", err)
}

// onlyOurs reports whether nobody else may write to a directory.
func onlyOurs(st os.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(sys.Uid) == os.Geteuid() && st.Mode().Perm()&0o022 == 0
}

// socketPatience bounds a look at who listens at an engine's socket.
const socketPatience = 10 * time.Second

// engineSees tells whether the process behind an engine's socket finds a file under the same path: it may live in other
// mounts than this one, or on another machine.
func engineSees(socket string) (func(path string, like os.FileInfo) bool, error) {
	path, ok := strings.CutPrefix(socket, "unix://")
	if !ok {
		return func(string, os.FileInfo) bool { return false }, nil
	}
	pid, err := listener(path)
	if err != nil {
		return nil, fmt.Errorf("look at the engine's process: %w", err)
	}
	return func(path string, like os.FileInfo) bool {
		st, err := os.Stat(fmt.Sprintf("/proc/%d/root%s", pid, path))
		return err == nil && os.SameFile(st, like)
	}, nil
}

// listener is the process that made a Unix socket; 0 if it is not one of this process's namespace.
func listener(path string) (pid int32, err error) {
	c, err := net.DialTimeout("unix", path, socketPatience)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) { peer, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, asked); err != nil {
		return 0, err
	}
	return peer.Pid, nil
}
