// Package netns makes, looks into and removes network namespaces.
package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Dir is where namespaces have their files; `ip netns` looks there.
const Dir = "/run/netns"

// Path is the file of the namespace of that name.
func Path(name string) string { return filepath.Join(Dir, name) }

// Make makes a namespace with its loopback interface up, unless it exists. A file without a namespace, as a reboot or a
// kill leaves it, is replaced.
func Make(path string) error {
	if Exists(path) {
		return up(path)
	}
	if err := anchor(path); err != nil {
		return err
	}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, as it is in another namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- fmt.Errorf("make network namespace: %w", err)
			return
		}
		own := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		if err := unix.Mount(own, path, "none", unix.MS_BIND, ""); err != nil {
			made <- fmt.Errorf("keep network namespace %s: %w", path, err)
			return
		}
		made <- nil
	}()
	if err := <-made; err != nil {
		return errors.Join(err, Remove(path))
	}
	return up(path)
}

// anchor makes the file that a namespace is mounted on, in place of what is there.
func anchor(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := Remove(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("make network namespace: %w", err)
	}
	return f.Close()
}

// Inode is the number of the namespace, 0 if there is none.
func Inode(path string) uint64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Ino
}

// Find returns the file of a process that lives in the namespace of that number, "" if none does.
func Find(inode uint64) string {
	files, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, file := range files {
		if Inode(file) == inode {
			return file
		}
	}
	return ""
}

// Keep mounts the namespace of one file on another.
func Keep(from, path string) error {
	if err := anchor(path); err != nil {
		return err
	}
	if err := unix.Mount(from, path, "none", unix.MS_BIND, ""); err != nil {
		return errors.Join(fmt.Errorf("keep network namespace %s: %w", path, err), Remove(path))
	}
	return nil
}

// Exists tells whether the file is a network namespace's.
func Exists(path string) bool {
	var st unix.Statfs_t
	const nsfs = 0x6e736673
	return unix.Statfs(path, &st) == nil && (int64(st.Type) == nsfs || int64(st.Type) == unix.PROC_SUPER_MAGIC)
}

// Remove removes the namespace's file. The namespace itself ends with the last process in it.
func Remove(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("remove network namespace %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove network namespace: %w", err)
	}
	return nil
}

// Interface is what is seen of an interface inside.
type Interface struct {
	MAC       string
	Up        bool
	Addresses []netip.Prefix
}

// Interfaces looks into a namespace.
func Interfaces(path string) (found map[string]Interface, err error) {
	err = in(path, func(h *netlink.Handle) error {
		links, err := h.LinkList()
		if err != nil {
			return err
		}
		names := map[int]string{}
		found = map[string]Interface{}
		for _, l := range links {
			a := l.Attrs()
			names[a.Index] = a.Name
			found[a.Name] = Interface{MAC: a.HardwareAddr.String(), Up: a.Flags&unix.IFF_UP != 0}
		}
		addrs, err := h.AddrList(nil, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			ip, ok := netip.AddrFromSlice(a.IP)
			if !ok {
				continue
			}
			bits, _ := a.Mask.Size()
			i := found[names[a.LinkIndex]]
			i.Addresses = append(i.Addresses, netip.PrefixFrom(ip.Unmap(), bits))
			found[names[a.LinkIndex]] = i
		}
		return nil
	})
	return found, err
}

func up(path string) error {
	return in(path, func(h *netlink.Handle) error {
		lo, err := h.LinkByName("lo")
		if err != nil {
			return err
		}
		return h.LinkSetUp(lo)
	})
}

func in(path string, f func(*netlink.Handle) error) error {
	ns, err := vns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", path, err)
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("enter network namespace %s: %w", path, err)
	}
	defer h.Close()
	if err := f(h); err != nil {
		return fmt.Errorf("network namespace %s: %w", path, err)
	}
	return nil
}

// RemoveIdleBridge removes a bridge that no interface is attached to; one that is not there is fine.
func RemoveIdleBridge(name string) error {
	link, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return err
	}
	if link.Type() != "bridge" {
		return nil
	}
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.Attrs().MasterIndex == link.Attrs().Index {
			return nil
		}
	}
	return netlink.LinkDel(link)
}
