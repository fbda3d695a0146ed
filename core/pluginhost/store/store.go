// Package store keeps the agent's own copies of verified plugin binaries, named by their digest:
// <dir>/<sha256>/<file name>. Every launch, re-exec and rollback of a plugin runs such a copy, so that what was checked
// is what runs, and a generation outlives the replacement of its file.
package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Store is a directory of binaries. Its methods may be called concurrently.
type Store struct{ dir string }

// Open makes the directory (0700) if it is missing and removes what an interrupted copy left.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("plugin store: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("plugin store: %w", err)
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

// Put copies the open file into the store under its digest and returns both. A copy that is already there is checked
// and kept; one that no longer has its digest is replaced. The digest is that of the bytes that were written.
func (s *Store) Put(src *os.File, name string) (digest, path string, err error) {
	fail := func(err error) (string, string, error) {
		return "", "", fmt.Errorf("copy %s to the plugin store %s: %w", src.Name(), s.dir, err)
	}
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return fail(fmt.Errorf("%q is not a plain file name", name))
	}
	digest, err = hash(io.NewSectionReader(src, 0, 1<<62))
	if err != nil {
		return fail(err)
	}
	if s.Verify(digest, name) == nil {
		return digest, s.Path(digest, name), nil
	}
	tmp, err := os.CreateTemp(s.dir, ".new-*")
	if err != nil {
		return fail(err)
	}
	defer os.Remove(tmp.Name())
	digest, err = fill(tmp, src)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fail(err)
	}
	path = s.Path(digest, name)
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fail(err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fail(err)
	}
	return digest, path, syncDir(filepath.Dir(path))
}

// fill copies and makes durable, and returns the digest of what was written, not of what was meant to be.
func fill(dst, src *os.File) (string, error) {
	if !clone(dst, src) {
		if _, err := io.Copy(dst, io.NewSectionReader(src, 0, 1<<62)); err != nil {
			return "", err
		}
	}
	digest, err := hash(io.NewSectionReader(dst, 0, 1<<62))
	if err != nil {
		return "", err
	}
	if err := dst.Chmod(0o755); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return "", err
	}
	return digest, dst.Sync()
}

// Verify reports whether the store's copy still has its digest.
func (s *Store) Verify(digest, name string) error {
	f, err := os.Open(s.Path(digest, name))
	if err != nil {
		return fmt.Errorf("plugin store: %w", err)
	}
	defer f.Close()
	got, err := hash(f)
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

func hash(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
