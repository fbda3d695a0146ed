// Package discovery finds plugin files and decides whether they may be trusted. It starts nothing.
package discovery

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// Entry is one file of plugin_dir.
type Entry struct {
	File    string // base name
	Path    string
	Size    int64
	ModTime time.Time
	Mode    fs.FileMode
	ID      string // device and inode where there are any: a file that was replaced has another one
	Refusal string // why it must not be loaded; empty = it may
}

// Name is how an operator's plugin block names the file: without a trailing .exe.
func (e Entry) Name() string { return strings.TrimSuffix(e.File, ".exe") }

// Same reports whether nothing about the file changed.
func (e Entry) Same(o Entry) bool {
	return e.File == o.File && e.Size == o.Size && e.ModTime.Equal(o.ModTime) && e.Mode == o.Mode && e.ID == o.ID &&
		e.Refusal == o.Refusal
}

// Scan lists plugin_dir in the order of the file names. Hidden files (beginning with a dot: half-written copies) and
// directories are left out. A directory that is not to be trusted, or is missing, is an error; errors.Is(err,
// fs.ErrNotExist) tells the latter.
func Scan(dir string) ([]Entry, error) {
	if err := CheckDir(dir); err != nil {
		return nil, err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("plugin_dir: %w", err)
	}
	var entries []Entry
	for _, d := range list {
		if strings.HasPrefix(d.Name(), ".") || d.IsDir() {
			continue
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since
		}
		e := Entry{File: d.Name(), Path: filepath.Join(dir, d.Name())}
		if err != nil {
			e.Refusal = err.Error()
		} else {
			e.Size, e.ModTime, e.Mode, e.ID = info.Size(), info.ModTime(), info.Mode(), fileID(info)
			e.Refusal = refusal(e.Path, info)
		}
		entries = append(entries, e)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].File < entries[j].File })
	return entries, nil
}

// Open opens a plugin file for copying and checks what was opened, not what the path names at some other moment.
func Open(path string) (*os.File, error) {
	if err := CheckDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f, err := openNoFollow(path)
	if err != nil {
		return nil, fmt.Errorf("open plugin: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		if r := refusal(path, info); r != "" {
			err = errors.New(r)
		} else if !looksExecutable(f) {
			err = fmt.Errorf("%s is not a program: it begins neither like a binary nor with #!", path)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// refusal says why a file must not be loaded; empty = it may.
func refusal(path string, info fs.FileInfo) string {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Sprintf("%s is a symbolic link; copy the file itself into plugin_dir", path)
	case !info.Mode().IsRegular():
		return fmt.Sprintf("%s is not a regular file (%s)", path, info.Mode().Type())
	case info.Size() == 0:
		return fmt.Sprintf("%s is empty", path)
	case !executable(path, info):
		return notExecutable(path)
	}
	if err := checkOwner(path, info, false); err != nil {
		return err.Error()
	}
	return ""
}

// looksExecutable reads the first bytes: ELF, PE, Mach-O or a script. It saves a launch that can only fail.
func looksExecutable(f io.ReaderAt) bool {
	head := make([]byte, 4)
	if n, err := f.ReadAt(head, 0); err != nil && (err != io.EOF || n < 2) {
		return false
	}
	for _, magic := range []string{"\x7fELF", "MZ", "#!", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe"} {
		if strings.HasPrefix(string(head), magic) {
			return true
		}
	}
	return false
}

// CheckDir reports why a directory must not be trusted: it or one above it belongs to somebody else, or can be changed
// by somebody else. Links on the way are followed, and what they name is checked too.
func CheckDir(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("plugin_dir %s: %w", dir, err)
	}
	if err := checkChain(abs); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return fmt.Errorf("plugin_dir %s: %w", dir, err)
	}
	if real == abs {
		return nil
	}
	return checkChain(real)
}

func checkChain(dir string) error {
	for at, leaf := dir, true; ; at, leaf = filepath.Dir(at), false {
		info, err := os.Lstat(at)
		if err != nil {
			return fmt.Errorf("plugin_dir: %w", err)
		}
		if leaf && !info.IsDir() && info.Mode()&fs.ModeSymlink == 0 {
			return fmt.Errorf("plugin_dir %s is not a directory", dir)
		}
		if err := checkOwner(at, info, !leaf); err != nil {
			return err
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}
