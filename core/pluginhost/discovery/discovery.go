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
	"unicode"
	"unicode/utf8"

	"github.com/droverhq/drover/core/pluginhost/trust"
)

// Entry is one file of plugin_dir.
type Entry struct {
	File    string // base name
	Path    string
	Size    int64
	ModTime time.Time
	Mode    fs.FileMode
	ID      string // device and inode where there are any: a file that was replaced has another one
	Signed  string // tells versions of its signature file apart; empty = there is none
	Refusal string // why it must not be loaded; empty = it may
}

// Name is how an operator's plugin block names the file: without a trailing .exe.
func (e Entry) Name() string { return strings.TrimSuffix(e.File, ".exe") }

// Same reports whether nothing about the file changed.
func (e Entry) Same(o Entry) bool {
	return e.File == o.File && e.Size == o.Size && e.ModTime.Equal(o.ModTime) && e.Mode == o.Mode && e.ID == o.ID &&
		e.Signed == o.Signed && e.Refusal == o.Refusal
}

// MaxSize bounds a plugin file, in bytes: it is hashed before every launch and kept in the store.
const MaxSize = 1 << 30

// Scan lists plugin_dir in the order of the file names. Hidden files (beginning with a dot: half-written copies) and
// signature files are left out. A directory that is not to be trusted, or is missing, is an error; errors.Is(err,
// fs.ErrNotExist) tells the latter.
func Scan(dir string) ([]Entry, error) {
	if err := CheckDir("plugin_dir", dir); err != nil {
		return nil, err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("plugin_dir: %w", err)
	}
	var entries []Entry
	for _, d := range list {
		if strings.HasPrefix(d.Name(), ".") || strings.HasSuffix(d.Name(), trust.SignatureSuffix) {
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
			e.Signed = signatureID(e.Path)
		}
		entries = append(entries, e)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].File < entries[j].File })
	return entries, nil
}

// Open opens a plugin file for reading and checks what was opened, not what the path names at some other moment. what is
// the name of its directory in errors.
func Open(what, path string) (*os.File, error) {
	if err := CheckDir(what, filepath.Dir(path)); err != nil {
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

// ReadSignature reads the signature file beside a plugin file; nil = there is none. It follows no link and waits for no
// other end of a pipe.
func ReadSignature(path string) ([]byte, error) {
	name := path + trust.SignatureSuffix
	f, err := openNoFollow(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("signature file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("signature file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > trust.MaxSignatureFile {
		return nil, fmt.Errorf("signature file %s is not a regular file of at most %d bytes", name, trust.MaxSignatureFile)
	}
	data, err := io.ReadAll(io.LimitReader(f, trust.MaxSignatureFile+1))
	if err != nil {
		return nil, fmt.Errorf("signature file: %w", err)
	}
	return data, nil
}

func signatureID(path string) string {
	info, err := os.Lstat(path + trust.SignatureSuffix)
	if err != nil {
		return ""
	}
	return fmt.Sprint(fileID(info), info.Size(), info.ModTime().UnixNano())
}

// maxName bounds a file's name, in bytes: the names of its logs and its signature are made of it.
const maxName = 200

// refusal says why a file must not be loaded; empty = it may.
func refusal(path string, info fs.FileInfo) string {
	switch name := filepath.Base(path); {
	case len(name) > maxName:
		return fmt.Sprintf("the file's name has %d bytes, more than the limit of %d; rename it", len(name), maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Sprintf("the file's name %q holds control characters or is not UTF-8; rename it", name)
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Sprintf("%s is a symbolic link; copy the file itself into plugin_dir", path)
	case info.IsDir():
		return fmt.Sprintf("%s is a directory; plugins are files that lie in plugin_dir itself", path)
	case !info.Mode().IsRegular():
		return fmt.Sprintf("%s is not a regular file but a %s", path, kind(info.Mode()))
	case info.Size() == 0:
		return fmt.Sprintf("%s is empty", path)
	case info.Size() > MaxSize:
		return fmt.Sprintf("%s has %d bytes, more than the limit of %d", path, info.Size(), int64(MaxSize))
	case !executable(path, info):
		return notExecutable(path)
	}
	if err := checkOwner(path, info, false); err != nil {
		return err.Error()
	}
	return ""
}

func kind(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
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
// by somebody else. Links on the way are followed, and what they name is checked too. what is its name in errors.
func CheckDir(what, dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, dir, err)
	}
	if err := checkChain(what, abs); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, dir, err)
	}
	if real == abs {
		return nil
	}
	return checkChain(what, real)
}

func checkChain(what, dir string) error {
	for at, leaf := dir, true; ; at, leaf = filepath.Dir(at), false {
		info, err := os.Lstat(at)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if leaf && !info.IsDir() && info.Mode()&fs.ModeSymlink == 0 {
			return fmt.Errorf("%s %s is not a directory", what, dir)
		}
		if err := checkOwner(at, info, !leaf); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}
