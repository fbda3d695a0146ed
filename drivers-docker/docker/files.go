package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// resolve follows symbolic links. Of a path that does not exist yet it resolves as much as exists.
func resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path, nil
	}
	if real, err = resolve(parent); err != nil {
		return "", err
	}
	return filepath.Join(real, filepath.Base(path)), nil
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
