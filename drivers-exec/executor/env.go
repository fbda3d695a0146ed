package executor

import (
	"fmt"
	"path"
	"sort"
)

// Environ turns a task's variables into the form a process takes, sorted.
// Variables whose name matches one of the denied patterns are left out.
func Environ(env map[string]string, denied ...string) ([]string, error) {
	list := make([]string, 0, len(env))
	for name, value := range env {
		hide, err := matches(name, denied)
		if err != nil {
			return nil, err
		}
		if !hide {
			list = append(list, name+"="+value)
		}
	}
	sort.Strings(list)
	return list, nil
}

func matches(name string, patterns []string) (bool, error) {
	for _, p := range patterns {
		ok, err := path.Match(p, name)
		if err != nil {
			return false, fmt.Errorf("denied_envvars: pattern %q: %w", p, err)
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}
