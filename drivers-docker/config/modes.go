package config

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// mode is one kind of namespace that a container may share with others.
type mode struct {
	name     string
	patterns []string // what the operator allows
	asked    string   // what the job asks for
	forms    []string // docker's syntax; "container:" stands for any container
}

func (a AllowedModes) list() []mode {
	return []mode{
		{name: "pid", patterns: a.PID, forms: []string{"host", "container:"}},
		{name: "ipc", patterns: a.IPC, forms: []string{"none", "private", "shareable", "host", "container:"}},
		{name: "userns", patterns: a.UserNS, forms: []string{"host"}},
		{name: "uts", patterns: a.UTS, forms: []string{"host"}},
	}
}

// valid reports whether a value, or a glob of values, is written as docker expects.
func (m mode) valid(value string) bool {
	if name, is := strings.CutPrefix(value, "container:"); is {
		return name != "" && slices.Contains(m.forms, "container:")
	}
	if _, err := path.Match(value, ""); err != nil {
		return false
	}
	return slices.Contains(m.forms, value)
}

// checkModes refuses a namespace mode that the operator does not allow.
func checkModes(p Plugin, t Task) error {
	if p.AllowPrivileged {
		return nil
	}
	modes := p.AllowedModes.list()
	for i, asked := range []string{t.PIDMode, t.IPCMode, t.UserNSMode, t.UTSMode} {
		m := modes[i]
		if asked == "" || slices.ContainsFunc(m.patterns, func(pattern string) bool { return glob(pattern, asked) }) {
			continue
		}
		allowed := "none is"
		if len(m.patterns) > 0 {
			allowed = strings.Join(m.patterns, ", ") + " are"
		}
		return fmt.Errorf("%s_mode %q is not allowed on this node: %s; the operator can add it to allowed_modes.%s of the docker plugin",
			m.name, asked, allowed, m.name)
	}
	return nil
}

func glob(pattern, value string) bool {
	ok, err := path.Match(pattern, value)
	return err == nil && ok
}
