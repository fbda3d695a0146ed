package template

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/allocdir"
)

// Place is a file beneath a directory that no path leads out of.
type Place struct {
	Root, Rel string
	// Allocation is the directory, only the node's to change, from which Root is opened without following links. Empty
	// opens Root as it is.
	Allocation string
}

// Open opens the directory.
func (p Place) Open() (*os.Root, error) {
	if p.Allocation == "" {
		return os.OpenRoot(p.Root)
	}
	return allocdir.OpenBeneath(p.Allocation, p.Root)
}

// maxFile bounds a file that a template reads, in bytes.
const maxFile = 4 << 20

// read returns a file's content; fs.ErrNotExist while it is not there. A named pipe that a task put there is refused, not
// waited for.
func (p Place) read() ([]byte, error) {
	root, err := p.Open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(filepath.FromSlash(p.Rel), os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", p.Rel)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", p.Rel, maxFile)
	}
	return b, err
}

// write replaces a file at once, with the mode and owner that the template asks for. changed is false when it was the
// same already.
func (p Place) write(t *model.Template, text []byte) (changed bool, err error) {
	mode := uint64(0o644)
	if t.Perms != "" {
		if mode, err = strconv.ParseUint(t.Perms, 8, 12); err != nil {
			return false, fmt.Errorf("perms %q is not an octal file mode", t.Perms)
		}
	}
	root, err := p.Open()
	if err != nil {
		return false, err
	}
	defer root.Close()
	rel := filepath.FromSlash(p.Rel)
	old, err := p.read()
	changed = err != nil || !bytes.Equal(old, text)
	if !changed {
		return false, own(root, rel, t, fs.FileMode(mode))
	}
	if err := root.MkdirAll(filepath.Dir(rel), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	var suffix [4]byte
	rand.Read(suffix[:])
	tmp := filepath.Join(filepath.Dir(rel), "."+path.Base(p.Rel)+"."+hex.EncodeToString(suffix[:]))
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	_, err = f.Write(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = own(root, tmp, t, fs.FileMode(mode))
	}
	if err == nil {
		err = root.Rename(tmp, rel)
	}
	if err != nil {
		root.Remove(tmp)
	}
	return true, err
}

func own(root *os.Root, rel string, t *model.Template, mode fs.FileMode) error {
	uid, gid := -1, -1
	if t.Uid != nil {
		uid = *t.Uid
	}
	if t.Gid != nil {
		gid = *t.Gid
	}
	if uid != -1 || gid != -1 {
		if err := root.Lchown(rel, uid, gid); err != nil {
			return err
		}
	}
	return root.Chmod(rel, mode)
}
