package taskfiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/core/node/taskfiles/protocol"
)

// Owner is who gets an artifact's files. It does not count on Windows.
type Owner struct{ UID, GID int }

// Install moves what was fetched into the directory staging of r to dest beneath r, as one file or as the content
// of a directory, after it has looked at all of it: nothing but files, directories and links that stay inside, within
// the limits, and with no bits that give rights. Nothing is moved unless everything may be.
func Install(r *os.Root, staging, dest string, asFile bool, owner Owner, limits protocol.Limits) error {
	dest = filepath.FromSlash(dest)
	from := filepath.Join(staging, protocol.FetchedDir)
	if asFile {
		from = filepath.Join(staging, protocol.FetchedFile)
		st, err := r.Lstat(from)
		if err != nil {
			return err
		}
		if !st.Mode().IsRegular() {
			return Permanent("the artifact is not one file, as mode file asks for")
		}
	}
	if err := inspect(r, from, owner, limits); err != nil {
		return err
	}
	parent := dest
	if asFile {
		parent = filepath.Dir(dest)
	}
	if err := r.MkdirAll(parent, 0o755); err != nil {
		return Permanent(fmt.Sprintf("destination: %v", err))
	}
	return move(r, from, dest)
}

// inspect checks the tree at from and sets modes and owner.
func inspect(r *os.Root, from string, owner Owner, limits protocol.Limits) error {
	files, size := 0, int64(0)
	return fs.WalkDir(r.FS(), filepath.ToSlash(from), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file := filepath.FromSlash(name)
		rel := strings.TrimPrefix(strings.TrimPrefix(name, filepath.ToSlash(from)), "/")
		info, err := r.Lstat(file)
		if err != nil {
			return err
		}
		if files++; limits.Files > 0 && files > limits.Files+1 {
			return Permanent(fmt.Sprintf("the artifact has more than %d files", limits.Files))
		}
		switch mode := info.Mode(); {
		case mode.IsRegular():
			if size += info.Size(); limits.Size > 0 && size > limits.Size {
				return Permanent(fmt.Sprintf("the artifact unpacks to more than %d bytes", limits.Size))
			}
			err = r.Chmod(file, mode.Perm())
		case mode.IsDir():
			err = r.Chmod(file, mode.Perm()|0o700)
		case mode&fs.ModeSymlink != 0:
			target, err := r.Readlink(file)
			if err != nil {
				return err
			}
			if filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(path.Dir(rel), target)) {
				return Permanent(fmt.Sprintf("the artifact's link %s leads out of it, to %s", rel, target))
			}
		default:
			return Permanent(fmt.Sprintf("the artifact holds %s, which is neither file, directory nor link", rel))
		}
		if err != nil {
			return err
		}
		return chown(r, file, owner)
	})
}

// move puts from at to. Directories are merged, files replaced.
func move(r *os.Root, from, to string) error {
	src, err := r.Lstat(from)
	if err != nil {
		return err
	}
	dst, err := r.Lstat(to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r.Rename(from, to)
	case err != nil:
		return err
	case src.IsDir() && dst.IsDir():
		entries, err := fs.ReadDir(r.FS(), filepath.ToSlash(from))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := move(r, filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
				return err
			}
		}
		return nil
	case src.IsDir() || dst.IsDir():
		return Permanent(fmt.Sprintf("destination: %s is in the way", filepath.Base(to)))
	}
	return r.Rename(from, to)
}
