package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// OOMEvents opens what tells that memory has run out in the group: a file, and the epoll events that mean news. The caller
// reads it by [ReadOOMEvent] after each event, compares [Group.OOMKills], and closes it. In version 1 the news may come
// just before the kill, and also when the group is removed. The file is -1 where no memory is counted.
func (g Group) OOMEvents() (fd int, events uint32, err error) {
	if dir := g.V1["memory"]; dir != "" {
		fd, err = oomEventV1(dir)
		return fd, unix.EPOLLIN, err
	}
	path := filepath.Join(g.Tree, "memory.events")
	fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, os.ErrNotExist) {
		return -1, 0, nil
	}
	if err != nil {
		return -1, 0, fmt.Errorf("watch memory: %w", &os.PathError{Op: "open", Path: path, Err: err})
	}
	ReadOOMEvent(fd) // what is not read yet counts as news
	return fd, unix.EPOLLPRI, nil
}

// oomEventV1 makes an eventfd that counts a version 1 group's running out of memory.
func oomEventV1(dir string) (int, error) {
	control, err := os.Open(filepath.Join(dir, "memory.oom_control"))
	if err != nil {
		return -1, fmt.Errorf("watch memory: %w", err)
	}
	defer control.Close()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("make eventfd: %w", err)
	}
	order := fmt.Sprintf("%d %d", fd, control.Fd())
	if err := os.WriteFile(filepath.Join(dir, "cgroup.event_control"), []byte(order), 0); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("watch memory: %w", err)
	}
	return fd, nil
}

// ReadOOMEvent takes in an event of a file of [Group.OOMEvents], so that only the next one is news.
func ReadOOMEvent(fd int) {
	var buf [256]byte
	if n, err := unix.Pread(fd, buf[:], 0); n < 0 && err == unix.ESPIPE {
		_, _ = unix.Read(fd, buf[:8])
	}
}

// OOMKillsIn reads how many processes the kernel ended for want of memory from a file that counts it, such as /proc/vmstat.
func OOMKillsIn(file string) uint64 { return keyed(file)["oom_kill"] }
