package tasklog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Reader reads the files of one stream, across rotation. It needs no collector and may be used by many at once.
type Reader struct {
	dir, prefix string
}

// NewReader reads Dir/Prefix.N of a Stream.
func NewReader(dir, prefix string) *Reader {
	return &Reader{dir: dir, prefix: prefix}
}

// File is one log file.
type File struct {
	// Name is the base name, Index the number at its end.
	Name    string
	Index   int
	Size    int64
	ModTime time.Time
}

// Files lists what exists, oldest first. No file yet, and no directory yet, is an empty list.
func (r *Reader) Files() ([]File, error) {
	root, err := os.OpenRoot(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open log directory: %w", err)
	}
	defer root.Close()
	return r.files(root)
}

func (r *Reader) files(root *os.Root) ([]File, error) {
	d, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("list log directory %s: %w", r.dir, err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list log directory %s: %w", r.dir, err)
	}
	var found []File
	for _, n := range indexes(r.prefix, names) {
		name := fileName(r.prefix, n)
		st, err := root.Lstat(name)
		if err != nil || !st.Mode().IsRegular() {
			continue // just removed, or not made by the collector
		}
		found = append(found, File{Name: name, Index: n, Size: st.Size(), ModTime: st.ModTime()})
	}
	return found, nil
}
