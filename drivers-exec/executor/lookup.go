package executor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// DefaultPath is searched where a task's environment has no PATH.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// FindCommand finds a task's command on the host: below the task's local
// directory, below the task's directory, as an absolute path, and by PATH. A
// file that lies in the task's own directories is made executable.
func FindCommand(command, taskDir string, env map[string]string) (string, error) {
	if command == "" {
		return "", fmt.Errorf("command is empty")
	}
	var tried []string
	if !filepath.IsAbs(command) {
		for _, dir := range []string{filepath.Join(taskDir, "local"), taskDir} {
			path, err := beneath(dir, command)
			if err != nil {
				return "", err
			}
			if path != "" {
				return path, nil
			}
			tried = append(tried, dir)
		}
		if strings.ContainsRune(command, filepath.Separator) {
			return "", fmt.Errorf("command %q not found in %s", command, strings.Join(tried, ", "))
		}
		for _, dir := range searchPath(env) {
			for _, path := range variants(filepath.Join(dir, command)) {
				if executable(path) {
					return path, nil
				}
			}
			tried = append(tried, dir)
		}
		return "", fmt.Errorf("command %q not found in %s", command, strings.Join(tried, ", "))
	}
	st, err := os.Stat(command)
	if err != nil {
		return "", fmt.Errorf("command %s: %w", command, os.ErrNotExist)
	}
	if st.IsDir() {
		return "", fmt.Errorf("command %s is a directory", command)
	}
	if !executable(command) {
		return "", fmt.Errorf("command %s is not executable", command)
	}
	return command, nil
}

// beneath returns the path of a file below dir, made executable, or "" if
// there is none. Links that lead out of dir are not followed.
func beneath(dir, name string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", nil
	}
	defer root.Close()
	st, err := root.Stat(name)
	if err != nil || st.IsDir() {
		return "", nil
	}
	if st.Mode()&0o111 == 0 {
		if err := root.Chmod(name, st.Mode().Perm()|0o111); err != nil {
			return "", fmt.Errorf("make command %s executable: %w", filepath.Join(dir, name), err)
		}
	}
	return filepath.Join(dir, name), nil
}

// searchPath is the PATH of a task, or the default.
func searchPath(env map[string]string) []string {
	path := env["PATH"]
	if path == "" {
		path = os.Getenv("PATH")
	}
	if path == "" {
		path = DefaultPath
	}
	return filepath.SplitList(path)
}
