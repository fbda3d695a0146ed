package allocdir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const nobody = 65534

// marker is what tasks may look for to tell a mounted directory from a plain one. The node itself does not trust it:
// tasks can remove and make it.
const marker = ".nomad-mount"

// mounted tells whether something is mounted on dir: it is on another device than its parent.
func mounted(dir string) bool {
	var here, above unix.Stat_t
	return unix.Lstat(dir, &here) == nil && unix.Lstat(filepath.Dir(dir), &above) == nil && here.Dev != above.Dev
}

// openTo sets a directory's mode. A task of the allocation could have put a link in its place since it was made.
func openTo(path string, mode fs.FileMode) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	dir := os.NewFile(uintptr(fd), path)
	defer dir.Close()
	return dir.Chmod(mode)
}

// giveToNobody makes the directory belong to nobody, so that no real user owns what tasks write to.
func giveToNobody(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, nobody, nobody)
}

// mountMemory mounts a tmpfs over dir unless it is mounted already. Without the privilege to mount, dir stays an ordinary
// directory.
func mountMemory(dir string, sizeMB int) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if mounted(dir) {
		return nil
	}
	// A task can put a link in the directory's place, so what is mounted on is what was opened.
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	at := "/proc/self/fd/" + strconv.Itoa(fd)
	flags := uintptr(unix.MS_NOEXEC | unix.MS_NOSUID | unix.MS_NODEV)
	size := "mode=0777,size=" + strconv.Itoa(sizeMB) + "m"
	err = unix.Mount("tmpfs", at, "tmpfs", flags, size+",noswap")
	if errors.Is(err, unix.EINVAL) { // kernels before 6.3 do not know noswap
		err = unix.Mount("tmpfs", at, "tmpfs", flags, size)
	}
	if errors.Is(err, unix.EPERM) { // root without the privilege, in a container
		return nil
	}
	if err != nil {
		return fmt.Errorf("mount tmpfs of %d MB on %s: %w", sizeMB, dir, err)
	}
	if err := giveToNobody(dir); err != nil {
		return err
	}
	f, err := os.OpenFile(dir+"/"+marker, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// unmountMemory undoes mountMemory; a directory that is not mounted is left as it is. Looking at one directory is cheap
// where listing all mounts of the machine is not.
func unmountMemory(dir string) error {
	if !mounted(dir) {
		return nil
	}
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err == nil || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPERM) {
		return nil
	}
	return fmt.Errorf("unmount %s: %w", dir, err)
}

// unmountBelow unmounts everything below root, innermost first.
func unmountBelow(root string) error {
	for range 3 { // something may be mounted over something
		points, err := mountPointsBelow(root)
		if err != nil {
			return err
		}
		if len(points) == 0 {
			return nil
		}
		for i := len(points) - 1; i >= 0; i-- {
			if err := unix.Unmount(points[i], unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
				return fmt.Errorf("unmount %s: %w", points[i], err)
			}
		}
	}
	return fmt.Errorf("something keeps being mounted below %s", root)
}

// mountPointsBelow lists mount points beneath root in the order they were mounted.
func mountPointsBelow(root string) ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("look for mounts: %w", err)
	}
	var points []string
	for line := range bytes.Lines(b) {
		fields := strings.Fields(string(line))
		if len(fields) < 5 {
			continue
		}
		if p := unescape(fields[4]); strings.HasPrefix(p, root+"/") {
			points = append(points, p)
		}
	}
	return points, nil
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
