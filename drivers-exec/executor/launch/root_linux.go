package launch

import (
	"path"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// root appends the calls that build and enter a root of the task's own.
//
// Every host tree is first cloned as a detached mount, while host paths still
// mean the host. Then the empty root is mounted and pivoted to, and from there
// on paths are resolved inside it: no symbolic link that a task planted in its
// own directories can lead a mount back to the host. Nothing is ever copied.
func (p *program) root(r *Root) {
	trees := make([]int, len(r.Entries))
	for i, e := range r.Entries {
		name := "bind " + e.Source + " at " + e.Target
		switch {
		case e.Kind == Bind && e.Beneath != "":
			trees[i] = p.cloneBeneath(name, e)
		case e.Kind == Bind:
			trees[i] = p.cloneTree(name, fdcwd, e)
		}
	}
	p.add("detach from the host's mounts", unix.SYS_MOUNT, 0, p.str("/"), 0, unix.MS_REC|unix.MS_SLAVE, 0)
	p.emptyRoot(r)
	mask := p.add("clear umask", unix.SYS_UMASK, 0)
	made := map[string]bool{"/": true}
	for i, e := range r.Entries {
		p.parents(e.Target, made)
		p.entry(e, trees[i], made)
	}
	p.on(mask, "restore umask", unix.SYS_UMASK)
	p.seal("/")
}

func (p *program) seal(target string) {
	ro := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	p.add("make "+target+" read-only", unix.SYS_MOUNT_SETATTR, fdcwd, p.str(target), 0, ref(p, ro), unsafe.Sizeof(ro))
}

// emptyRoot mounts a small tmpfs and makes it the root. It holds nothing but
// mount points, hence the size.
func (p *program) emptyRoot(r *Root) {
	const name = "make the root"
	fs := p.add(name, unix.SYS_FSOPEN, p.str("tmpfs"), unix.FSOPEN_CLOEXEC)
	for _, o := range [][2]string{{"mode", "0755"}, {"size", "1m"}} {
		p.on(fs, name, unix.SYS_FSCONFIG, unix.FSCONFIG_SET_STRING, p.str(o[0]), p.str(o[1]), 0)
	}
	p.on(fs, name, unix.SYS_FSCONFIG, unix.FSCONFIG_CMD_CREATE, 0, 0, 0)
	root := p.on(fs, name, unix.SYS_FSMOUNT, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	p.attach(name+" on "+r.On, root, r.On)
	p.on(root, name, unix.SYS_FCHDIR)
	if r.NoPivot {
		p.add("move the root", unix.SYS_MOUNT, p.str("."), p.str("/"), 0, unix.MS_MOVE, 0)
		p.add("change root", unix.SYS_CHROOT, p.str("."))
	} else {
		p.add("pivot to the root", unix.SYS_PIVOT_ROOT, p.str("."), p.str("."))
		p.add("leave the host's root", unix.SYS_UMOUNT2, p.str("."), unix.MNT_DETACH)
	}
	p.add("enter the root", unix.SYS_CHDIR, p.str("/"))
}

// entry puts one Entry at its target, whose parents exist.
func (p *program) entry(e Entry, tree int, made map[string]bool) {
	name := string(e.Kind) + " " + e.Source + " at " + e.Target
	switch e.Kind {
	case Bind:
		p.mountPoint(e, made)
		p.attach(name, tree, e.Target)
	case Rebind:
		tree = p.cloneTree(name, fdcwd, e)
		p.attach(name, tree, e.Target)
		// A missing part of /proc leaves out what would be done to it.
		open := &p.steps[tree]
		open.tolerate[0], open.skip = unix.ENOENT, len(p.steps)-tree-1
	case Filesystem:
		p.mountPoint(e, made)
		p.add(name, unix.SYS_MOUNT, p.str(e.Source), p.str(e.Target), p.str(e.Source), e.mountFlags(), p.str(e.Data))
	case Point:
		p.mountPoint(e, made)
	case Symlink:
		p.add(name, unix.SYS_SYMLINKAT, p.str(e.Source), fdcwd, p.str(e.Target))
		p.tolerate(unix.EEXIST, 0)
	case Seal:
		p.seal(e.Target)
	case Device:
		p.add(name, unix.SYS_MKNODAT, fdcwd, p.str(e.Target), unix.S_IFCHR|0o666, uintptr(unix.Mkdev(e.Major, e.Minor)))
	}
}

// parents makes the directories above target.
func (p *program) parents(target string, made map[string]bool) {
	dir := path.Dir(target)
	if made[dir] {
		return
	}
	p.parents(dir, made)
	made[dir] = true
	p.add("make directory "+dir, unix.SYS_MKDIRAT, fdcwd, p.str(dir), 0o755)
	p.tolerate(unix.EEXIST, unix.EROFS) // where it is missing and cannot be made, the mount says so
}

// mountPoint makes the file or directory that is mounted over.
func (p *program) mountPoint(e Entry, made map[string]bool) {
	if made[e.Target] {
		return
	}
	made[e.Target] = true
	if e.File {
		p.add("make mount point "+e.Target, unix.SYS_MKNODAT, fdcwd, p.str(e.Target), unix.S_IFREG|0o644, 0)
	} else {
		p.add("make mount point "+e.Target, unix.SYS_MKDIRAT, fdcwd, p.str(e.Target), 0o755)
	}
	p.tolerate(unix.EEXIST, unix.EROFS)
}

// cloneTree clones the mounts at e.Source and sets their attributes.
func (p *program) cloneTree(name string, dir uintptr, e Entry) int {
	tree := p.add(name, unix.SYS_OPEN_TREE, dir, p.str(e.Source), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	p.setAttributes(name, tree, e)
	return tree
}

// cloneBeneath is cloneTree for a path that others may change meanwhile: what
// is cloned is what was opened, without following links, below e.Beneath.
func (p *program) cloneBeneath(name string, e Entry) int {
	below := strings.TrimPrefix(strings.TrimPrefix(e.Source, e.Beneath), "/")
	if below == "" {
		below = "."
	}
	name += " without following links"
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	dir := p.add(name, unix.SYS_OPENAT, fdcwd, p.str(e.Beneath), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	at := p.on(dir, name, unix.SYS_OPENAT2, p.str(below), ref(p, how), unix.SizeofOpenHow)
	tree := p.on(at, name, unix.SYS_OPEN_TREE, p.str(""), unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	p.setAttributes(name, tree, e)
	return tree
}

// setAttributes gives a cloned tree what e says of it.
func (p *program) setAttributes(name string, tree int, e Entry) {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID, Propagation: propagation(e.Propagation)}
	for _, a := range []struct {
		on   bool
		attr uint64
	}{{e.ReadOnly, unix.MOUNT_ATTR_RDONLY}, {e.NoDev, unix.MOUNT_ATTR_NODEV}, {e.NoExec, unix.MOUNT_ATTR_NOEXEC}} {
		if a.on {
			attr.Attr_set |= a.attr
		}
	}
	p.on(tree, name, unix.SYS_MOUNT_SETATTR, p.str(""), unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, ref(p, attr), unsafe.Sizeof(attr))
}

func (p *program) attach(name string, tree int, target string) {
	p.on(tree, name, unix.SYS_MOVE_MOUNT, p.str(""), fdcwd, p.str(target), unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_SYMLINKS)
}

func propagation(mode string) uint64 {
	switch mode {
	case "host-to-task":
		return unix.MS_SLAVE
	case "bidirectional":
		return unix.MS_SHARED
	default:
		return unix.MS_PRIVATE
	}
}

// mountFlags are the flags of mount(2) for a Filesystem.
func (e Entry) mountFlags() (f uintptr) {
	f = unix.MS_NOSUID
	for _, a := range []struct {
		on   bool
		flag uintptr
	}{{e.ReadOnly, unix.MS_RDONLY}, {e.NoDev, unix.MS_NODEV}, {e.NoExec, unix.MS_NOEXEC}} {
		if a.on {
			f |= a.flag
		}
	}
	return f
}
