//go:build !windows

package executor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// executable reports whether a path is a program for somebody.
func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && !st.IsDir() && st.Mode()&0o111 != 0
}

// variants are the names that a program may have.
func variants(path string) []string { return []string{path} }

// LookPath finds the program of a command inside the task: a name by the PATH
// of env, a path as it is, relative ones to the task's work directory.
func (p *Process) LookPath(name string, env []string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return name, nil // the kernel says it better if it is missing
	}
	if strings.Contains(name, "/") {
		return filepath.Join("/", p.state.Inside.Dir, name), nil
	}
	path := DefaultPath
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, "PATH="); ok && value != "" {
			path = value
		}
	}
	root := ""
	if p.state.Inside.Namespaces.Mount {
		root = fmt.Sprintf("/proc/%d/root", p.state.Proc.PID)
	}
	for _, dir := range filepath.SplitList(path) {
		// A link inside the task's root may be absolute, so that it cannot be
		// followed from here: its being there is enough.
		at := filepath.Join("/", dir, name)
		if st, err := os.Lstat(root + at); err == nil && !st.IsDir() {
			return at, nil
		}
	}
	return "", fmt.Errorf("command %q not found in the task's PATH %s", name, path)
}
