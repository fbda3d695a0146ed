package qemu

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// allowed are directories that a machine's images may lie in.
type allowed []string

// allow makes the list for a task: its allocation and what the operator named.
// The directories' own links are resolved, as the images' are.
func allow(allocDir string, imagePaths []string) allowed {
	var a allowed
	for _, dir := range append([]string{allocDir}, imagePaths...) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			a = append(a, real)
		}
	}
	return a
}

// resolve returns the file that a path leads to, all links followed, and
// refuses one that lies elsewhere.
func (a allowed) resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if os.IsNotExist(err) {
		return "", fmt.Errorf("there is no file %s", path)
	}
	if err != nil {
		return "", err
	}
	for _, dir := range a {
		rel, err := filepath.Rel(dir, real)
		if err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return real, nil
		}
	}
	where := ""
	if real != filepath.Clean(path) {
		where = " (links lead to " + real + ")"
	}
	return "", fmt.Errorf("%s%s lies neither in the allocation nor in one of the plugin's image_paths", path, where)
}

// find resolves a path as a job gives it: relative to the task's directory, or
// else to the allocation's.
func (a allowed) find(given, taskDir, allocDir string) (string, error) {
	if filepath.IsAbs(given) {
		return a.resolve(given)
	}
	path := filepath.Join(taskDir, given)
	if _, err := os.Lstat(path); err != nil {
		if other := filepath.Join(allocDir, given); exists(other) {
			path = other
		}
	}
	return a.resolve(path)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
