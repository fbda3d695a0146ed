package launch

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// check refuses a Spec that no kernel could run.
func (s *Spec) check() error {
	for _, text := range append([]string{s.Path, s.Dir, s.NetNS, s.Cgroup}, append(s.Args, s.Env...)...) {
		if strings.ContainsRune(text, 0) {
			return fmt.Errorf("a path, argument or variable contains a zero byte: %q", strings.SplitN(text, "=", 2)[0])
		}
	}
	if !strings.HasPrefix(s.Path, "/") {
		return fmt.Errorf("program %q is no absolute path", s.Path)
	}
	if len(s.Args) == 0 {
		return fmt.Errorf("program %s has no argument vector", s.Path)
	}
	if s.Root != nil && !s.Namespaces.Mount {
		return fmt.Errorf("a root of its own needs a mount namespace of its own")
	}
	if len(s.Seccomp)%instruction != 0 || len(s.Seccomp)/instruction > 4096 {
		return fmt.Errorf("a seccomp filter of %d bytes: it has 1 to 4096 instructions of %d bytes", len(s.Seccomp), instruction)
	}
	if s.Enter.Any() && (s.Root != nil || s.Namespaces.Any()) {
		return fmt.Errorf("a process enters namespaces or gets new ones, not both")
	}
	return nil
}

// compile turns a Spec into the calls of the child. stdio are three open
// files, all above 2; enter is the pidfd for Spec.Enter or -1.
//
// The order matters: cgroups and namespaces while the host's files are still
// in reach, then the root, then who we are, then what we may.
func compile(s *Spec, stdio [3]int, enter int) *program {
	p := &program{}
	for _, dir := range s.Join {
		p.write("enter cgroup "+dir, dir+"/cgroup.procs", "0")
	}
	p.write("set oom_score_adj", "/proc/self/oom_score_adj", strconv.Itoa(s.OOMScoreAdj))
	p.tolerate(unix.EACCES, unix.EPERM) // an unprivileged keeper cannot lower it
	p.add("start a session", unix.SYS_SETSID)
	p.signals()
	if s.NoFile != nil {
		lim := unix.Rlimit{Cur: s.NoFile.Soft, Max: s.NoFile.Hard}
		p.add("limit open files", unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, ref(p, lim), 0)
	}
	if s.NetNS != "" {
		fd := p.add("open network namespace "+s.NetNS, unix.SYS_OPENAT, fdcwd, p.str(s.NetNS), unix.O_RDONLY|unix.O_CLOEXEC)
		p.on(fd, "enter network namespace "+s.NetNS, unix.SYS_SETNS, unix.CLONE_NEWNET)
	}
	if flags := s.Enter.flags() &^ unix.CLONE_NEWPID; flags != 0 {
		p.add("enter the task's namespaces", unix.SYS_SETNS, uintptr(enter), flags)
	}
	if s.Root != nil {
		p.root(s.Root)
	}
	p.landlock(s.Landlock, stdio)
	for i, fd := range stdio {
		p.add("set standard files", unix.SYS_DUP3, uintptr(fd), uintptr(i), 0)
	}
	if s.TTY {
		p.add("take the terminal", unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	}
	p.identity(s)
	dir := s.Dir
	if dir == "" {
		dir = "/"
	}
	p.add("change to work directory "+dir, unix.SYS_CHDIR, p.str(dir))
	p.add("close files on execute", unix.SYS_CLOSE_RANGE, 3, uintptr(^uint32(0)), unix.CLOSE_RANGE_CLOEXEC)
	p.tolerate(unix.ENOSYS, unix.EINVAL) // before Linux 5.11; the keeper holds no other file open across execve
	p.confine(s.Landlock)
	p.filter(s.Seccomp)
	p.add("execute "+s.Path, unix.SYS_EXECVE, p.str(s.Path), p.strs(s.Args), p.strs(s.Env))
	return p
}

// instruction is the size of struct sock_filter.
const instruction = 8

// filter restricts system calls from here on; it comes last.
func (p *program) filter(code []byte) {
	if len(code) == 0 {
		return
	}
	code = append([]byte{}, code...)
	p.keep = append(p.keep, code)
	prog := struct { // struct sock_fprog
		length uint16
		filter uintptr
	}{uint16(len(code) / instruction), uintptr(unsafe.Pointer(&code[0]))}
	const setModeFilter = 1
	p.add("filter system calls", unix.SYS_SECCOMP, setModeFilter, 0, ref(p, prog))
}

// signals restores what every program expects: a shell that started the agent
// in the background may have left SIGINT ignored, which is what tasks are
// stopped with.
func (p *program) signals() {
	const setBytes, actionBytes = 8, 64 // sizeof(sigset_t), at least sizeof(struct sigaction)
	zero := ref(p, [actionBytes]byte{})
	for sig := unix.SIGHUP; sig <= 64; sig++ {
		if sig != unix.SIGKILL && sig != unix.SIGSTOP {
			p.add("reset signals", unix.SYS_RT_SIGACTION, uintptr(sig), zero, 0, setBytes)
		}
	}
	p.add("unblock signals", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, zero, 0, setBytes)
}

// identity switches user and capabilities. The bounding set is cut while we
// are still allowed to; capabilities that are kept survive the change of user
// because of PR_SET_KEEPCAPS and the execve because they are ambient.
func (p *program) identity(s *Spec) {
	if s.Capabilities != nil {
		for c := 0; c <= lastCapability; c++ {
			if *s.Capabilities&(1<<c) == 0 {
				p.add("drop capability "+strconv.Itoa(c), unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c))
				p.tolerate(unix.EINVAL, 0) // a capability this kernel does not have
			}
		}
		p.add("keep capabilities", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
	}
	if u := s.User; u != nil {
		groups := append([]uint32{}, u.Groups...)
		if len(groups) == 0 {
			groups = []uint32{u.GID}
		}
		p.keep = append(p.keep, groups)
		p.add("set groups", unix.SYS_SETGROUPS, uintptr(len(groups)), sliceAddr(groups))
		p.add(fmt.Sprintf("set group %d", u.GID), unix.SYS_SETRESGID, uintptr(u.GID), uintptr(u.GID), uintptr(u.GID))
		p.add(fmt.Sprintf("set user %d", u.UID), unix.SYS_SETRESUID, uintptr(u.UID), uintptr(u.UID), uintptr(u.UID))
	}
	if s.Capabilities != nil {
		lo, hi := uint32(*s.Capabilities), uint32(*s.Capabilities>>32)
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		data := [2]unix.CapUserData{{Effective: lo, Permitted: lo, Inheritable: lo}, {Effective: hi, Permitted: hi, Inheritable: hi}}
		p.add("set capabilities", unix.SYS_CAPSET, ref(p, header), ref(p, data))
		for c := 0; c <= lastCapability; c++ {
			if *s.Capabilities&(1<<c) != 0 {
				p.add("raise capability "+strconv.Itoa(c), unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c))
				p.tolerate(unix.EINVAL, 0)
			}
		}
	}
	if s.NoNewPrivileges {
		p.add("forbid new privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	}
}

// lastCapability is the highest number this program knows (CHECKPOINT_RESTORE).
const lastCapability = 40

// flags are the CLONE_NEW* bits of the kinds named.
func (n Namespaces) flags() (f uintptr) {
	for _, k := range []struct {
		on   bool
		flag uintptr
	}{{n.Mount, unix.CLONE_NEWNS}, {n.PID, unix.CLONE_NEWPID}, {n.IPC, unix.CLONE_NEWIPC}, {n.Net, unix.CLONE_NEWNET}} {
		if k.on {
			f |= k.flag
		}
	}
	return f
}
