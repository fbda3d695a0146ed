package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// clone shares the blocks of src with dst where the file system can.
func clone(dst, src *os.File) bool {
	return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) == nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("plugin store: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("plugin store: %w", err)
	}
	return nil
}
