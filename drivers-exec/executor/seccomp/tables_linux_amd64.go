package seccomp

import "golang.org/x/sys/unix"

// tables are the 64-bit calls and those of 32-bit programs. The numbers are the kernel's (asm/unistd_64.h, unistd_32.h).
func tables() []table {
	const x32 = 0x40000000
	return []table{
		{audit: unix.AUDIT_ARCH_X86_64, beyond: x32, numbers: map[string]uint32{
			"clone": 56, "syslog": 103, "uselib": 134, "ustat": 136, "sysfs": 139, "pivot_root": 155, "_sysctl": 156, "acct": 163,
			"settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170,
			"setdomainname": 171, "iopl": 172, "ioperm": 173, "create_module": 174, "init_module": 175, "delete_module": 176,
			"get_kernel_syms": 177, "query_module": 178, "quotactl": 179, "nfsservctl": 180, "lookup_dcookie": 212,
			"clock_settime": 227, "vserver": 236, "mbind": 237, "set_mempolicy": 238, "kexec_load": 246, "add_key": 248,
			"request_key": 249, "keyctl": 250, "migrate_pages": 256, "unshare": 272, "move_pages": 279, "perf_event_open": 298,
			"fanotify_init": 300, "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308, "kcmp": 312, "finit_module": 313,
			"kexec_file_load": 320, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426,
			"io_uring_register": 427, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
			"fspick": 433, "clone3": 435, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443,
			"set_mempolicy_home_node": 450, "open_tree_attr": 467,
		}},
		{audit: unix.AUDIT_ARCH_I386, numbers: map[string]uint32{
			"mount": 21, "umount": 22, "stime": 25, "acct": 51, "umount2": 52, "ustat": 62, "sethostname": 74, "settimeofday": 79,
			"uselib": 86, "swapon": 87, "reboot": 88, "ioperm": 101, "syslog": 103, "iopl": 110, "vm86old": 113, "swapoff": 115,
			"clone": 120, "setdomainname": 121, "create_module": 127, "init_module": 128, "delete_module": 129,
			"get_kernel_syms": 130, "quotactl": 131, "sysfs": 135, "_sysctl": 149, "vm86": 166, "query_module": 167,
			"nfsservctl": 169, "pivot_root": 217, "lookup_dcookie": 253, "clock_settime": 264, "vserver": 273, "mbind": 274,
			"set_mempolicy": 276, "kexec_load": 283, "add_key": 286, "request_key": 287, "keyctl": 288, "migrate_pages": 294,
			"unshare": 310, "move_pages": 317, "perf_event_open": 336, "fanotify_init": 338, "open_by_handle_at": 342,
			"clock_adjtime": 343, "setns": 346, "kcmp": 349, "finit_module": 350, "bpf": 357, "userfaultfd": 374,
			"clock_settime64": 404, "clock_adjtime64": 405, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
			"open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435,
			"pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "set_mempolicy_home_node": 450,
			"open_tree_attr": 467,
		}},
	}
}
