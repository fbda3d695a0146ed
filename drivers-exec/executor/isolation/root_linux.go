package isolation

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/sdk/driver"
)

// Root composes a task's root: the host's programs read-only, the kernel's
// file systems, the task's own directories, and what the job mounts. Later
// entries lie over earlier ones.
func Root(v View) (*launch.Root, error) {
	host, err := hostTrees(v.Chroot)
	if err != nil {
		return nil, err
	}
	own, err := ownTrees(v)
	if err != nil {
		return nil, err
	}
	files, err := generated(v.Task)
	if err != nil {
		return nil, err
	}
	mounts, err := mounts(v.Task.Mounts)
	if err != nil {
		return nil, err
	}
	devices, err := devices(v.Task.Devices)
	if err != nil {
		return nil, err
	}
	var hidden []launch.Entry
	if v.Hidden != nil {
		hidden = v.Hidden.covers(v.Chroot, v.User, time.Now())
	}
	below, elsewhere := inDev(devices)
	entries, err := withPoints(slices.Concat(host, hidden, kernelTrees(below), own, files, mounts, elsewhere, masks()), mountedBelow)
	if err != nil {
		return nil, err
	}
	for i, e := range entries {
		if e.Kind == launch.Bind && inside(e.Source, v.Task.AllocDir) {
			entries[i].Beneath = v.Task.AllocDir
		}
	}
	return &launch.Root{On: v.Task.TaskDir(), Entries: entries, NoPivot: v.NoPivot}, nil
}

// Writable are the places of a root where its task may write, as far as mounts and permissions let it: everything but the
// host's trees.
func Writable(root *launch.Root, chroot map[string]string) []launch.Writable {
	host := map[string]bool{}
	for source, target := range chroot {
		host[source+" at "+path.Clean(target)] = true
	}
	list := []launch.Writable{{Path: "/dev"}, {Path: "/proc"}}
	for _, e := range root.Entries {
		if e.Kind == launch.Bind && e.Source != os.DevNull && !host[e.Source+" at "+e.Target] {
			list = append(list, launch.Writable{Path: e.Target, File: e.File})
		}
	}
	return list
}

// hostTrees are the chroot's, parents first.
func hostTrees(chroot map[string]string) ([]launch.Entry, error) {
	var list []launch.Entry
	for source, target := range chroot {
		if !path.IsAbs(source) || !path.IsAbs(target) || path.Clean(target) == "/" {
			return nil, fmt.Errorf("chroot_env: %q = %q: both must be absolute paths, and the second not the root", source, target)
		}
		st, err := os.Stat(source)
		if err != nil {
			continue // as every node has its own
		}
		list = append(list, launch.Entry{Kind: launch.Bind, Source: source, Target: path.Clean(target), File: !st.IsDir(), ReadOnly: true, NoDev: true})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Target < list[j].Target })
	return list, nil
}

// kernelTrees are /proc, /sys and a minimal /dev. A task may be allowed to make
// device nodes, so the only file system where they work is read-only.
func kernelTrees(devices []launch.Entry) []launch.Entry {
	list := []launch.Entry{
		{Kind: launch.Filesystem, Source: "proc", Target: "/proc", NoDev: true, NoExec: true},
		{Kind: launch.Filesystem, Source: "sysfs", Target: "/sys", ReadOnly: true, NoDev: true, NoExec: true},
		{Kind: launch.Filesystem, Source: "tmpfs", Target: "/dev", Data: "mode=755,size=64k", NoExec: true},
		{Kind: launch.Filesystem, Source: "devpts", Target: "/dev/pts", Data: "newinstance,ptmxmode=0666,mode=0620,gid=5", NoExec: true},
		{Kind: launch.Filesystem, Source: "tmpfs", Target: "/dev/shm", Data: "mode=1777,size=65536k", NoDev: true, NoExec: true},
		{Kind: launch.Filesystem, Source: "mqueue", Target: "/dev/mqueue", NoDev: true, NoExec: true},
		{Kind: launch.Symlink, Source: "pts/ptmx", Target: "/dev/ptmx"},
		{Kind: launch.Symlink, Source: "/proc/self/fd", Target: "/dev/fd"},
		{Kind: launch.Symlink, Source: "/proc/self/fd/0", Target: "/dev/stdin"},
		{Kind: launch.Symlink, Source: "/proc/self/fd/1", Target: "/dev/stdout"},
		{Kind: launch.Symlink, Source: "/proc/self/fd/2", Target: "/dev/stderr"},
	}
	for _, d := range []struct {
		name         string
		major, minor uint32
	}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}} {
		list = append(list, launch.Entry{Kind: launch.Device, Source: d.name, Target: "/dev/" + d.name, Major: d.major, Minor: d.minor})
	}
	list = append(list, devices...)
	return append(list, launch.Entry{Kind: launch.Seal, Target: "/dev"})
}

// devices are host devices given to the task, each mounted by itself.
func devices(given []driver.Device) ([]launch.Entry, error) {
	var list []launch.Entry
	for _, d := range given {
		target := d.TaskPath
		if target == "" {
			target = d.HostPath
		}
		if !path.IsAbs(target) {
			return nil, fmt.Errorf("device %s: task path %q must be absolute", d.HostPath, target)
		}
		st, err := os.Stat(d.HostPath)
		if err != nil {
			return nil, fmt.Errorf("device: %w", err)
		}
		list = append(list, launch.Entry{Kind: launch.Bind, Source: d.HostPath, Target: path.Clean(target), File: !st.IsDir(), NoExec: true})
	}
	return list, nil
}

// inDev parts the devices below /dev, which is sealed once they are there, from those elsewhere, which lie over the
// task's own directories.
func inDev(devices []launch.Entry) (in, elsewhere []launch.Entry) {
	for _, d := range devices {
		if strings.HasPrefix(d.Target, "/dev/") {
			in = append(in, d)
		} else {
			elsewhere = append(elsewhere, d)
		}
	}
	return in, elsewhere
}

// ownTrees are the directories that the host made for the task. Whatever else
// lies at the top of the task's directory shows as well, as it would in a
// chroot made of that directory.
func ownTrees(v View) ([]launch.Entry, error) {
	t := v.Task
	bind := func(source, target string) launch.Entry {
		return launch.Entry{Kind: launch.Bind, Source: source, Target: target, NoDev: true}
	}
	list := []launch.Entry{
		bind(t.SharedDir(), "/alloc"),
		bind(t.LocalDir(), "/local"),
		bind(t.SecretsDir(), "/secrets"),
		bind(filepath.Join(t.TaskDir(), "tmp"), "/tmp"),
	}
	for i := range list {
		if err := realDir(t.AllocDir, list[i].Source); err != nil {
			return nil, fmt.Errorf("task directory for %s: %w", list[i].Target, err)
		}
	}
	if logs := filepath.Join(t.SharedDir(), "logs"); isDir(logs) {
		e := bind(logs, "/alloc/logs")
		e.ReadOnly = true
		list = append(list, e)
	}
	taken := map[string]bool{"alloc": true, "local": true, "secrets": true, "tmp": true, "private": true, "proc": true, "sys": true, "dev": true}
	for _, target := range v.Chroot {
		taken[strings.SplitN(strings.TrimPrefix(path.Clean(target), "/"), "/", 2)[0]] = true
	}
	entries, err := os.ReadDir(t.TaskDir())
	if err != nil {
		return nil, fmt.Errorf("read task directory: %w", err)
	}
	for _, d := range entries {
		// Links are left out: they could lead anywhere on the host.
		if taken[d.Name()] || !d.IsDir() && !d.Type().IsRegular() {
			continue
		}
		e := bind(filepath.Join(t.TaskDir(), d.Name()), "/"+d.Name())
		e.File = !d.IsDir()
		list = append(list, e)
	}
	return list, nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// mounts are the job's volumes.
func mounts(given []driver.Mount) ([]launch.Entry, error) {
	var list []launch.Entry
	for _, m := range given {
		switch m.Propagation {
		case "", "private", "host-to-task", "bidirectional":
		default:
			return nil, fmt.Errorf("mount %s: propagation mode %q is unknown; it is private, host-to-task or bidirectional", m.TaskPath, m.Propagation)
		}
		target := path.Join("/", m.TaskPath)
		if target == "/" {
			return nil, fmt.Errorf("mount of %s: task path %q is the root", m.HostPath, m.TaskPath)
		}
		st, err := os.Stat(m.HostPath) // what lies in the allocation is opened without links when it is mounted
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", m.TaskPath, err)
		}
		list = append(list, launch.Entry{
			Kind: launch.Bind, Source: m.HostPath, Target: target, File: !st.IsDir(),
			ReadOnly: m.Readonly, NoDev: true, Propagation: m.Propagation,
		})
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Target < list[j].Target })
	return list, nil
}

// masks hide what the kernel tells to everybody who is root, or who may read
// all files as a task with CAP_DAC_OVERRIDE may.
func masks() []launch.Entry {
	var list []launch.Entry
	for _, file := range []string{
		"/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/sched_debug",
	} {
		if st, err := os.Stat(file); err == nil && !st.IsDir() {
			list = append(list, launch.Entry{Kind: launch.Bind, Source: os.DevNull, Target: file, File: true, ReadOnly: true, NoExec: true})
		}
	}
	for _, dir := range []string{"/proc/acpi", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"} {
		if isDir(dir) {
			list = append(list, launch.Entry{Kind: launch.Filesystem, Source: "tmpfs", Target: dir, Data: "size=0", ReadOnly: true, NoDev: true, NoExec: true})
		}
	}
	for _, p := range []string{"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"} {
		list = append(list, launch.Entry{Kind: launch.Rebind, Source: p, Target: p, ReadOnly: true, NoDev: true, NoExec: true})
	}
	return list
}

// Supported says why this kernel cannot isolate tasks, or nil: it needs clone3
// and mount_setattr, which Linux has since 5.12.
func Supported() error {
	if err := unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &unix.MountAttr{}); err == unix.ENOSYS {
		return fmt.Errorf("the kernel lacks mount_setattr, which came with Linux 5.12")
	}
	if _, _, err := unix.Syscall(unix.SYS_CLONE3, 0, 0, 0); err == unix.ENOSYS {
		return fmt.Errorf("the kernel lacks clone3, or a seccomp filter hides it")
	}
	return nil
}
