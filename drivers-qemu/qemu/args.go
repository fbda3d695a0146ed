package qemu

import (
	"fmt"
	"slices"
	"strings"
)

// checkArgs refuses what the operator does not allow: every argument must be an option of the list, or the one value right
// after an option that takes one. Anything else QEMU would open as a disk. A nil list allows all, an empty one nothing.
func checkArgs(args, allowed []string) error {
	if allowed == nil {
		return nil
	}
	var names []string
	for _, a := range allowed {
		name, _ := optionName("-" + strings.TrimLeft(a, "-"))
		names = append(names, name)
	}
	for i := 0; i < len(args); i++ {
		name, alone := optionName(args[i])
		if name == "" {
			return fmt.Errorf("args: %q is no option and no option's value: with an args_allowlist QEMU gets no other arguments", args[i])
		}
		if !slices.Contains(names, name) {
			return fmt.Errorf("args: option -%s is not in the plugin's args_allowlist (%s)", name, strings.Join(allowed, ", "))
		}
		if alone && slices.Contains(valued(), name) {
			i++ // QEMU takes the next one for the value, whatever it looks like
		}
	}
	return nil
}

// optionName is an argument's option without dashes and without what follows =, empty if it is none; alone says that a
// value, if it takes one, is the next argument.
func optionName(arg string) (name string, alone bool) {
	name, is := strings.CutPrefix(arg, "-")
	if !is {
		return "", false
	}
	name, _, joined := strings.Cut(strings.TrimPrefix(name, "-"), "=")
	return name, !joined
}

// valued are QEMU's options that take a value. One that is missing here cannot be given a value where there is an
// allow-list, which is the safe way to be wrong.
func valued() []string {
	return strings.Fields(`D L accel acpitable action add-fd append async-teardown audio audiodev bios blockdev
		boot cdrom chardev chroot compat cpu d debugcon device dfilter display drive dtb dump-vmstate
		echr fda fdb fsdev fw_cfg g gdb global hda hdb hdc hdd hdachs icount incoming initrd iscsi k kernel loadvm m
		machine M mem-path mon monitor msg mtdblock name net netdev nic numa object option-rom overcommit parallel pflash
		pidfile plugin prom-env qmp qmp-pretty qtest qtest-log readconfig rotate rtc run-with runas sandbox sd
		seed semihosting-config serial set shim smbios smp soundhw spice tb-size tpmdev trace usbdevice uuid vga
		virtfs vnc watchdog watchdog-action writeconfig xen-domid`)
}
