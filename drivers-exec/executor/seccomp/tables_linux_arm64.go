package seccomp

import "golang.org/x/sys/unix"

// tables are the 64-bit calls; programs of 32 bits do not run. The numbers are the kernel's (asm-generic/unistd.h).
func tables() []table {
	return []table{
		{audit: unix.AUDIT_ARCH_AARCH64, numbers: map[string]uint32{
			"lookup_dcookie": 18, "umount2": 39, "mount": 40, "pivot_root": 41, "nfsservctl": 42, "quotactl": 60, "acct": 89,
			"unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106, "clock_settime": 112, "syslog": 116,
			"reboot": 142, "sethostname": 161, "setdomainname": 162, "settimeofday": 170, "add_key": 217, "request_key": 218,
			"keyctl": 219, "clone": 220, "swapon": 224, "swapoff": 225, "mbind": 235, "set_mempolicy": 237, "migrate_pages": 238,
			"move_pages": 239, "perf_event_open": 241, "fanotify_init": 262, "open_by_handle_at": 265, "clock_adjtime": 266,
			"setns": 268, "kcmp": 272, "finit_module": 273, "bpf": 280, "userfaultfd": 282, "kexec_file_load": 294,
			"clock_settime64": 404, "clock_adjtime64": 405, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
			"open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435,
			"pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "set_mempolicy_home_node": 450,
			"open_tree_attr": 467,
		}},
	}
}
