package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
)

const allCaps = "ALL"

// engineCaps is what the engine gives containers by default.
func engineCaps() []string {
	return []string{"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
		"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
}

// capabilities states the complete set: what the engine gives by default as far as the operator's ceiling allows it, less
// cap_drop, plus cap_add.
func capabilities(in Input, h *container.HostConfig) error {
	if in.Node.Windows {
		if len(in.Config.CapAdd)+len(in.Config.CapDrop) > 0 {
			return fmt.Errorf("cap_add and cap_drop do not exist on Windows")
		}
		return nil
	}
	if in.Config.Privileged {
		return nil
	}
	ceiling := capNames(in.Plugin.AllowCaps)
	add, drop := capNames(in.Config.CapAdd), capNames(in.Config.CapDrop)
	within := func(name string) bool {
		return slices.Contains(ceiling, allCaps) || slices.Contains(ceiling, name)
	}
	for _, name := range add {
		if !within(name) {
			return fmt.Errorf("cap_add: %s is not allowed on this node: only %s; the operator can add it to allow_caps of the docker plugin",
				name, strings.Join(ceiling, ", "))
		}
	}
	var kept []string
	if !slices.Contains(drop, allCaps) {
		for _, name := range engineCaps() {
			if within(name) && !slices.Contains(drop, name) {
				kept = append(kept, name)
			}
		}
	}
	kept = append(kept, add...)
	slices.Sort(kept)
	h.CapDrop, h.CapAdd = []string{allCaps}, slices.Compact(kept)
	if slices.Contains(kept, allCaps) {
		h.CapDrop, h.CapAdd = nil, []string{allCaps}
	}
	return nil
}

func capNames(names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(name)), "CAP_"))
	}
	return all
}
