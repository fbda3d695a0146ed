//go:build !linux

package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// pin checks that no link leads out of area. Elsewhere than on Linux nothing holds the path fast until the engine uses it.
func (p *private) pin(area, rel string, create bool) (string, error) {
	full := filepath.Join(area, rel)
	root, err := filepath.EvalSymlinks(area)
	if err == nil {
		full, err = filepath.EvalSymlinks(full)
	}
	if errors.Is(err, fs.ErrNotExist) && create {
		return filepath.Join(area, rel), nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot be opened: %w", err)
	}
	if inside, err := filepath.Rel(root, full); err != nil || !filepath.IsLocal(inside) {
		return "", errors.New("leads out of the task's directories through a symbolic link")
	}
	return full, nil
}

func unpin(string) error { return nil }

func onlyOurs(os.FileInfo) bool { return true }

func engineSees(string) (func(string, os.FileInfo) bool, error) {
	return func(string, os.FileInfo) bool { return false }, nil
}
