// Package seccomp makes the filter of system calls that isolated tasks run under. It refuses what a task has no use for and
// what reaches parts of the kernel that namespaces and capabilities do not guard well, and leaves the rest alone. A call
// that is newer than this list does not exist for a task, as on an older kernel.
package seccomp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// rule refuses calls to tasks that do not have a capability.
type rule struct {
	unless int // capability that lifts the rule; -1: none does
	errno  unix.Errno
	calls  string
}

// rules by capability. Every capability here would be needed for the call anyway, or in a user namespace of the task's own,
// which is what makes kernels vulnerable: so there are none of those either (clone, unshare).
func rules() []rule {
	return []rule{
		{unix.CAP_SYS_ADMIN, unix.EPERM, `mount umount umount2 pivot_root move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick
			mount_setattr setns unshare quotactl quotactl_fd sethostname setdomainname bpf perf_event_open fanotify_init lookup_dcookie
			swapon swapoff`},
		{unix.CAP_SYS_ADMIN, unix.ENOSYS, "clone3"}, // its flags cannot be looked at; C libraries then use clone
		{unix.CAP_SYS_MODULE, unix.EPERM, "init_module finit_module delete_module create_module query_module get_kernel_syms"},
		{unix.CAP_SYS_BOOT, unix.EPERM, "reboot kexec_load kexec_file_load"},
		{unix.CAP_SYS_TIME, unix.EPERM, "settimeofday stime clock_settime clock_settime64 clock_adjtime clock_adjtime64"},
		{unix.CAP_SYS_RAWIO, unix.EPERM, "iopl ioperm"},
		{unix.CAP_SYS_PACCT, unix.EPERM, "acct"},
		{unix.CAP_SYS_PTRACE, unix.EPERM, "kcmp pidfd_getfd process_madvise"},
		{unix.CAP_SYS_NICE, unix.EPERM, "mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node"},
		{unix.CAP_DAC_READ_SEARCH, unix.EPERM, "open_by_handle_at"},
		{unix.CAP_SYSLOG, unix.EPERM, "syslog"},
		{-1, unix.EPERM, "add_key request_key keyctl userfaultfd uselib nfsservctl sysfs _sysctl ustat vm86 vm86old vserver"},
		{-1, unix.ENOSYS, "io_uring_setup io_uring_enter io_uring_register"},
	}
}

// table is one way in which programs of an architecture call the kernel.
type table struct {
	audit   uint32 // AUDIT_ARCH_*
	beyond  uint32 // numbers from here on are another way in (x32); 0 if there is none
	numbers map[string]uint32
}

// last is the newest call this list knows; numbers are the same for all architectures there.
const last = 469 // file_setattr of Linux 6.17

// Default is the filter for a task with a set of capabilities, as the code that the kernel takes; nil for architectures
// that have no list.
func Default(capabilities uint64) []byte {
	if len(tables()) == 0 {
		return nil
	}
	var code program
	code.load(offsetArch)
	for _, t := range tables() {
		code.section(t, capabilities)
	}
	code.refuse(unix.ENOSYS) // of an architecture this kernel should not run
	return code.bytes()
}

const (
	offsetNumber = 0  // of struct seccomp_data
	offsetArch   = 4  //
	offsetArg0   = 16 // low half, on little-endian machines

	allow    = 0x7fff0000 // SECCOMP_RET_ALLOW
	withErrn = 0x00050000 // SECCOMP_RET_ERRNO
)

// namespaces are the flags of clone that a task may not use.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWCGROUP

// program is BPF code.
type program []unix.SockFilter

func (p *program) add(code uint16, jt, jf uint8, k uint32) {
	*p = append(*p, unix.SockFilter{Code: code, Jt: jt, Jf: jf, K: k})
}

func (p *program) load(offset uint32) { p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, offset) }
func (p *program) ret(k uint32)       { p.add(unix.BPF_RET|unix.BPF_K, 0, 0, k) }
func (p *program) refuse(e unix.Errno) {
	p.ret(withErrn | uint32(e))
}

// when appends a comparison after which n instructions are left out unless it holds.
func (p *program) when(comparison uint16, k uint32, n uint8) {
	p.add(unix.BPF_JMP|comparison|unix.BPF_K, 0, n, k)
}

// section is the code for calls of one table; others pass it with the architecture still loaded.
func (p *program) section(t table, capabilities uint64) {
	var s program
	s.load(offsetNumber)
	if t.beyond != 0 {
		s.when(unix.BPF_JGE, t.beyond, 1)
		s.refuse(unix.ENOSYS)
	}
	s.when(unix.BPF_JGT, last, 1)
	s.refuse(unix.ENOSYS)
	has := func(c int) bool { return c >= 0 && capabilities&(1<<c) != 0 }
	for _, r := range rules() {
		if has(r.unless) {
			continue
		}
		var numbers []uint32
		for _, name := range strings.Fields(r.calls) {
			if n, ok := t.numbers[name]; ok {
				numbers = append(numbers, n)
			}
		}
		slices.Sort(numbers)
		for _, n := range numbers {
			s.when(unix.BPF_JEQ, n, 1)
			s.refuse(r.errno)
		}
	}
	if !has(unix.CAP_SYS_ADMIN) {
		s.when(unix.BPF_JEQ, t.numbers["clone"], 3)
		s.load(offsetArg0)
		s.when(unix.BPF_JSET, namespaces, 1)
		s.refuse(unix.EPERM)
	}
	s.ret(allow)
	// Jumps of a comparison reach 255 instructions; this one may have to go further.
	p.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 1, 0, t.audit)
	p.add(unix.BPF_JMP|unix.BPF_JA, 0, 0, uint32(len(s)))
	*p = append(*p, s...)
}

// bytes are the instructions in this machine's byte order.
func (p program) bytes() []byte {
	b := make([]byte, 0, 8*len(p))
	for _, i := range p {
		b = binary.NativeEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.NativeEndian.AppendUint32(b, i.K)
	}
	return b
}

// Supported says why this kernel has no filters, or nil.
func Supported() error {
	if len(tables()) == 0 {
		return fmt.Errorf("no list of system calls for this architecture")
	}
	if _, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("the kernel has no seccomp: %w", err)
	}
	return nil
}
