// Package fsapi reads files of an allocation for the API. It never leaves the allocation's directory and never shows
// what tasks keep secret, whatever symbolic links say.
package fsapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/node/allocdir"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/tasklog"
)

// sniffLen is how much of a file tells its content type.
const sniffLen = 512

// Tree is the directory of one allocation.
type Tree struct{ root string }

// New opens nothing yet.
func New(root string) Tree { return Tree{root} }

// List is the content of a directory, by name.
func (t Tree) List(name string) ([]*rpc.FSFileInfo, error) {
	root, rel, err := t.open(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	d, err := root.Open(rel)
	if err != nil {
		return nil, classify(name, err)
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return nil, classify(name, err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	out := make([]*rpc.FSFileInfo, 0, len(entries))
	for _, e := range entries {
		st, err := e.Info()
		if err != nil {
			continue // gone since it was listed
		}
		out = append(out, info(st))
	}
	return out, nil
}

// Stat describes one file.
func (t Tree) Stat(name string) (*rpc.FSFileInfo, error) {
	root, rel, err := t.open(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	st, err := root.Stat(rel)
	if err != nil {
		return nil, classify(name, err)
	}
	out := info(st)
	if st.Mode().IsRegular() {
		out.ContentType = contentType(root, rel)
	}
	return out, nil
}

// errLimit ends a read that has all it wants.
var errLimit = errors.New("limit reached")

// Read hands a file's bytes to fn. Origin is "start" (or empty) or "end"; limit 0 reads to the end of the file, which
// with follow is when the file goes away.
func (t Tree) Read(ctx context.Context, req *rpc.FSReadRequest, fn func(*rpc.FSChunk) error) error {
	origin, err := Origin(req.Origin)
	if err != nil {
		return err
	}
	if req.Offset < 0 || req.Limit < 0 {
		return rpc.Errorf(rpc.ErrInvalid, "offset and limit must not be negative")
	}
	root, rel, err := t.open(req.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	st, err := root.Stat(rel)
	if err != nil {
		return classify(req.Path, err)
	}
	if st.IsDir() {
		return rpc.Errorf(rpc.ErrInvalid, "file %q is a directory", req.Path)
	}
	left := req.Limit
	err = tasklog.TailFile(ctx, root, rel, tasklog.ReadOptions{Origin: origin, Offset: req.Offset, Follow: req.Follow}, func(c tasklog.Chunk) error {
		data := c.Data
		if req.Limit > 0 {
			data = data[:min(int64(len(data)), left)]
			left -= int64(len(data))
		}
		if err := fn(&rpc.FSChunk{Offset: c.Offset, Data: data, File: req.Path, FileEvent: string(c.Event)}); err != nil {
			return err
		}
		if req.Limit > 0 && left == 0 {
			return errLimit
		}
		return nil
	})
	if errors.Is(err, errLimit) {
		return nil
	}
	if err != nil && ctx.Err() == nil {
		return classify(req.Path, err)
	}
	return err
}

// Origin reads the text form.
func Origin(s string) (tasklog.Origin, error) {
	switch s {
	case "", "start":
		return tasklog.OriginStart, nil
	case "end":
		return tasklog.OriginEnd, nil
	}
	return 0, rpc.Errorf(rpc.ErrInvalid, "invalid origin %q: must be start or end", s)
}

// open resolves a name of the API. What it returns holds no symbolic link at the time of the call; os.Root keeps a link
// that appears later from leading outside, and private directories are checked again on what was really reached.
func (t Tree) open(name string) (*os.Root, string, error) {
	clean := strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(name)), "/")
	if clean == "" {
		clean = "."
	}
	if err := refuse(clean); err != nil {
		return nil, "", err
	}
	base, err := filepath.EvalSymlinks(t.root)
	if err != nil {
		return nil, "", classify(name, err)
	}
	real, err := filepath.EvalSymlinks(filepath.Join(base, filepath.FromSlash(clean)))
	if err != nil {
		return nil, "", classify(name, err)
	}
	rel, err := filepath.Rel(base, real)
	if err != nil || !filepath.IsLocal(rel) {
		return nil, "", rpc.Errorf(rpc.ErrDenied, "path %q escapes the allocation directory", name)
	}
	if err := refuse(filepath.ToSlash(rel)); err != nil {
		return nil, "", err
	}
	root, err := os.OpenRoot(base)
	if err != nil {
		return nil, "", classify(name, err)
	}
	return root, rel, nil
}

// refuse: <task>/secrets and <task>/private are nobody's business.
func refuse(rel string) error {
	parts := strings.Split(rel, "/")
	if len(parts) < 2 {
		return nil
	}
	for _, hidden := range []string{allocdir.SecretsName, allocdir.PrivateName} {
		if strings.EqualFold(parts[1], hidden) && parts[0] != allocdir.SharedName {
			return rpc.Errorf(rpc.ErrDenied, "Reading secret file prohibited: %s/%s", parts[0], hidden)
		}
	}
	return nil
}

func info(st fs.FileInfo) *rpc.FSFileInfo {
	return &rpc.FSFileInfo{Name: st.Name(), IsDir: st.IsDir(), Size: st.Size(), FileMode: st.Mode().String(), ModTime: st.ModTime()}
}

func contentType(root *os.Root, rel string) string {
	if byName := mime.TypeByExtension(filepath.Ext(rel)); byName != "" {
		return byName
	}
	f, err := root.Open(rel)
	if err != nil {
		return ""
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, sniffLen))
	if err != nil {
		return ""
	}
	return http.DetectContentType(head)
}

// classify gives an error of the file system its class; the text names the path as the caller knows it.
func classify(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return rpc.Errorf(rpc.ErrNotFound, "file %q does not exist", name)
	case errors.Is(err, fs.ErrPermission):
		return rpc.Errorf(rpc.ErrDenied, "file %q cannot be read", name)
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("file %q: %w", name, pe.Err)
	}
	return fmt.Errorf("file %q: %w", name, err)
}
