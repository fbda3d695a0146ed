// Package store keeps the agent's own copies of verified plugin binaries, named by their digest:
// <dir>/<sha256>/<file name>. Every launch, re-exec and rollback of a plugin runs such a copy, so that what was checked
// is what runs, and a generation outlives the replacement of its file.
package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/core/pluginhost/discovery"
	"github.com/droverhq/drover/core/pluginhost/trust"
)

// Store is a directory of binaries. Its methods may be called concurrently.
type Store struct{ dir string }

// dirMode is that of the store's directories: plugins that run as users of their own must reach their binary. Nobody but the agent
// can list or change what lies there.
const dirMode = 0o711

// Open makes the directory if it is missing and removes what an interrupted copy left. It refuses a directory that
// somebody else could change, itself or one above it: nothing checked there would stay so.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("plugin store: %w", err)
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("plugin store: %s is not a directory of its own: remove it", dir)
	}
	if err := own(dir); err != nil {
		return nil, fmt.Errorf("plugin store: %w", err)
	}
	if err := discovery.CheckDir("plugin store", dir); err != nil {
		return nil, err
	}
	halves, err := filepath.Glob(filepath.Join(dir, ".new-*"))
	if err != nil {
		return nil, fmt.Errorf("plugin store: %w", err)
	}
	for _, f := range halves {
		os.Remove(f)
	}
	return &Store{dir: dir}, nil
}

// Path is where a binary is, or would be.
func (s *Store) Path(digest, name string) string { return filepath.Join(s.dir, digest, name) }

// Put copies the open file into the store under its digest and returns both. accept decides on the digest before anything
// is copied; a file that changes between the two is refused. A copy that is already there is checked and kept; one that
// no longer has its digest is replaced. signature is kept beside it, nil = there is none.
func (s *Store) Put(src *os.File, name string, signature []byte, accept func(digest string) error) (digest, path string, err error) {
	fail := func(err error) (string, string, error) {
		return "", "", fmt.Errorf("copy %s to the plugin store %s: %w", src.Name(), s.dir, err)
	}
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return fail(fmt.Errorf("%q is not a plain file name", name))
	}
	digest, err = trust.Digest(all(src))
	if err != nil {
		return fail(err)
	}
	if err := accept(digest); err != nil {
		return "", "", err
	}
	path = s.Path(digest, name)
	if s.Verify(digest, name) == nil {
		return digest, path, s.keepSignature(path, signature)
	}
	tmp, err := os.CreateTemp(s.dir, ".new-*")
	if err != nil {
		return fail(err)
	}
	defer os.Remove(tmp.Name())
	copied, err := fill(tmp, src)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fail(err)
	}
	if copied != digest {
		return fail(errors.New("it changed while it was copied; it is looked at again when it no longer changes"))
	}
	if err := os.Mkdir(filepath.Dir(path), dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return fail(err)
	}
	if err := own(filepath.Dir(path)); err != nil {
		return fail(err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fail(err)
	}
	if err := s.keepSignature(path, signature); err != nil {
		return fail(err)
	}
	return digest, path, syncDir(filepath.Dir(path))
}

// keepSignature keeps what vouches for a binary with it, for the launches to come.
func (s *Store) keepSignature(path string, signature []byte) error {
	if signature == nil {
		return nil
	}
	tmp, err := os.CreateTemp(s.dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(signature)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path+trust.SignatureSuffix)
}

// Signature returns the signature file that is kept with a binary; nil = there is none.
func (s *Store) Signature(digest, name string) ([]byte, error) {
	data, err := os.ReadFile(s.Path(digest, name) + trust.SignatureSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// all reads a file from its beginning, up to the limit and one more byte, wherever its offset is.
func all(f *os.File) io.Reader { return io.NewSectionReader(f, 0, discovery.MaxSize+1) }

// fill copies and makes durable, and returns the digest of what was written, not of what was meant to be.
func fill(dst, src *os.File) (string, error) {
	if !clone(dst, src) {
		if _, err := io.Copy(dst, all(src)); err != nil {
			return "", err
		}
	}
	digest, err := trust.Digest(all(dst))
	if err != nil {
		return "", err
	}
	if err := dst.Chmod(0o755); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return "", err
	}
	return digest, dst.Sync()
}

// Verify reports whether the store's copy is still a file of the agent's own with that digest.
func (s *Store) Verify(digest, name string) error {
	f, err := discovery.Open("plugin store", s.Path(digest, name))
	if err != nil {
		return fmt.Errorf("plugin store: %w", err)
	}
	defer f.Close()
	got, err := trust.Digest(all(f))
	if err != nil {
		return fmt.Errorf("plugin store: %w", err)
	}
	if got != digest {
		return fmt.Errorf("plugin store: %s was changed: its digest is %s", f.Name(), got)
	}
	return nil
}

// Prune removes every binary whose digest is not in keep.
func (s *Store) Prune(keep map[string]bool) error {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("plugin store: %w", err)
	}
	var errs []error
	for _, d := range list {
		if !d.IsDir() || keep[d.Name()] || len(d.Name()) != 2*sha256.Size {
			continue
		}
		errs = append(errs, os.RemoveAll(filepath.Join(s.dir, d.Name())))
	}
	return errors.Join(errs...)
}
