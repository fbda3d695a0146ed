package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// mostProfile is the largest seccomp profile that is read, in bytes; the engine's own has 12 KiB.
const mostProfile = 1 << 20

// profiles finds seccomp profiles that a job may use.
type profiles struct {
	taskDir string
	dirs    []string // of the node, which the operator opened
}

// read returns a profile. A relative path lies in the task's directory, an absolute one in an opened directory. The error is the
// same whether a file outside exists or not.
func (p profiles) read(path string) ([]byte, error) {
	if !filepath.IsAbs(path) {
		return readBelow(p.taskDir, path)
	}
	for _, dir := range p.dirs {
		if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
			return readBelow(dir, rel)
		}
	}
	return nil, fmt.Errorf("%s is neither in the task's directory nor in one that the operator opened with seccomp_profile_dirs of the docker plugin", path)
}

// readBelow reads a plain file of bounded size, without following a link out of dir and without waiting for a writer.
func readBelow(dir, rel string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(filepath.Clean(rel), os.O_RDONLY|openNow, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file", rel)
	}
	data, err := io.ReadAll(io.LimitReader(f, mostProfile+1))
	if err == nil && len(data) > mostProfile {
		err = fmt.Errorf("%s has more than %d bytes", rel, mostProfile)
	}
	return data, err
}

// securityOptions brings the options into the engine's form. A seccomp profile is a file of the host; the engine wants
// its content.
func securityOptions(options []string, readFile func(string) ([]byte, error)) ([]string, error) {
	var all []string
	for _, option := range options {
		name, value, ok := strings.Cut(option, "=")
		if !ok {
			name, value, ok = strings.Cut(option, ":")
		}
		if !ok {
			if option != "no-new-privileges" {
				return nil, fmt.Errorf("security_opt: %q is not name=value", option)
			}
			all = append(all, option)
			continue
		}
		if name == "seccomp" && value != "unconfined" && value != "builtin" {
			profile, err := readFile(value)
			if err != nil {
				return nil, fmt.Errorf("security_opt: read the seccomp profile: %w", err)
			}
			var compact bytes.Buffer
			if err := json.Compact(&compact, profile); err != nil {
				return nil, fmt.Errorf("security_opt: the seccomp profile %s is not JSON", value)
			}
			value = compact.String()
		}
		all = append(all, name+"="+value)
	}
	return all, nil
}
