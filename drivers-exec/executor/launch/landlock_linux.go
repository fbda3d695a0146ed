package launch

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// LandlockABI is the version of the kernel's Landlock, 0 if it has none or it is switched off.
func LandlockABI() int {
	abi, _, err := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if err != 0 {
		return 0
	}
	return int(abi)
}

const (
	// fileRights are what can be done to a file, treeRights to what lies below a directory. Version 2 has the right to move
	// files between directories; before, Landlock forbids that always, so version 1 is of no use.
	fileRights = unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	treeRights = fileRights | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO |
		unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_REFER
	truncate = unix.LANDLOCK_ACCESS_FS_TRUNCATE // since version 3

	// beneath is where each path is put while a rule is made of it: the rule names it by number, in memory that is
	// written before the fork. Standard input is not set yet then, and any other number may be an open file of the keeper's.
	beneath = 0
)

// landlock makes the rules, after the root is in place and before the standard files are.
func (p *program) landlock(l *Landlock, stdio [3]int) {
	if l == nil {
		return
	}
	const name = "confine writing (landlock)"
	file, tree := uint64(fileRights), uint64(treeRights)
	if l.ABI >= 3 {
		file, tree = file|truncate, tree|truncate
	}
	handled := unix.LandlockRulesetAttr{Handled_access_fs: tree}
	rules := p.add(name, unix.SYS_LANDLOCK_CREATE_RULESET, ref(p, handled), unsafe.Sizeof(handled.Handled_access_fs), 0)
	allow := func(what string, rights uint64, fd uint32) {
		rule := [12]byte{} // struct landlock_path_beneath_attr, which is packed
		binary.NativeEndian.PutUint64(rule[:], rights)
		binary.NativeEndian.PutUint32(rule[8:], fd)
		p.on(rules, name+": "+what, unix.SYS_LANDLOCK_ADD_RULE, unix.LANDLOCK_RULE_PATH_BENEATH, ref(p, rule), 0)
	}
	for _, fd := range stdio {
		allow("standard files", file, uint32(fd))
		p.tolerate(unix.EBADFD, unix.EINVAL) // pipes and the like are not confined
	}
	for _, w := range l.Write {
		rights := tree
		if w.File {
			rights = file
		}
		at := p.add(name+": open "+w.Path, unix.SYS_OPENAT, fdcwd, p.str(w.Path), unix.O_PATH|unix.O_CLOEXEC, 0)
		p.on(at, name+": "+w.Path, unix.SYS_DUP3, beneath, unix.O_CLOEXEC)
		allow(w.Path, rights, beneath)
	}
	p.landlockRules = rules
}

// confine puts the rules into force.
func (p *program) confine(l *Landlock) {
	if l != nil {
		p.on(p.landlockRules, "confine writing (landlock)", unix.SYS_LANDLOCK_RESTRICT_SELF, 0)
	}
}
