package isolation

import (
	"fmt"
	"sort"
	"strings"
)

// DefaultCapabilities are what tasks may have unless the operator says
// otherwise.
func DefaultCapabilities() []string {
	return []string{
		"audit_write", "chown", "dac_override", "fowner", "fsetid", "kill", "mknod", "net_bind_service",
		"setfcap", "setgid", "setpcap", "setuid", "sys_chroot",
	}
}

// names are Linux's capabilities by number.
var names = strings.Fields(`chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap
	linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio
	sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod
	lease audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read
	perfmon bpf checkpoint_restore`)

// Capabilities computes a task's set: the default one where the operator
// allows it, less drop, plus add. Adding what is not allowed is refused.
func Capabilities(allow, add, drop []string) (uint64, error) {
	allowed, err := parse("allow_caps", allow)
	if err != nil {
		return 0, err
	}
	basis, _ := parse("", DefaultCapabilities())
	dropped, err := parse("cap_drop", drop)
	if err != nil {
		return 0, err
	}
	added, err := parse("cap_add", add)
	if err != nil {
		return 0, err
	}
	if beyond := added &^ allowed; beyond != 0 {
		return 0, fmt.Errorf("cap_add: %s is not in the plugin's allow_caps", strings.Join(list(beyond), ", "))
	}
	return basis&allowed&^dropped | added, nil
}

// CheckCapabilities refuses names that are no capabilities.
func CheckCapabilities(option string, given []string) error {
	_, err := parse(option, given)
	return err
}

// parse reads names, with or without CAP_, in any case; "all" is every one.
func parse(option string, given []string) (set uint64, err error) {
	for _, text := range given {
		name := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(text)), "cap_")
		if name == "all" {
			set |= 1<<len(names) - 1
			continue
		}
		n := -1
		for i, known := range names {
			if known == name {
				n = i
			}
		}
		if n < 0 {
			return 0, fmt.Errorf("%s: %q is no capability; names are such as net_bind_service", option, text)
		}
		set |= 1 << n
	}
	return set, nil
}

func list(set uint64) []string {
	var l []string
	for i, name := range names {
		if set&(1<<i) != 0 {
			l = append(l, name)
		}
	}
	sort.Strings(l)
	return l
}
