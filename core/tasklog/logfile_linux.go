package tasklog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// logFile is the newest file of a stream. The directory may belong to the task, so everything happens relative to a
// directory handle taken before the task began, never follows a link and writes to nothing but a plain file with one
// name.
type logFile struct {
	dir    int // directory handle
	path   string
	prefix string
	mode   uint32
	index  int
	fd     int // -1 while there is none
}

// openLogFile opens the newest file of the stream, or makes the first. known is the identity that the directory must
// have; zero accepts any.
func openLogFile(s Stream, known directoryID) (*logFile, directoryID, error) {
	// A task can put a link in the directory's place; those above it are the node's own.
	dir, err := unix.Open(s.Dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, known, fmt.Errorf("open log directory %s: %w", s.Dir, err)
	}
	f := &logFile{dir: dir, path: s.Dir, prefix: s.Prefix, mode: uint32(s.Mode.Perm()), fd: -1}
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		f.close()
		return nil, known, fmt.Errorf("examine log directory %s: %w", s.Dir, err)
	}
	id := directoryID{Dev: st.Dev, Ino: st.Ino}
	if known != (directoryID{}) && known != id {
		f.close()
		return nil, known, fmt.Errorf("%w: log directory %s has been replaced by another one since the stream was opened", ErrConflict, s.Dir)
	}
	if err := f.openNewest(); err != nil {
		f.close()
		return nil, known, err
	}
	return f, id, nil
}

func (f *logFile) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
	}
	if f.dir >= 0 {
		unix.Close(f.dir)
	}
	f.fd, f.dir = -1, -1
}

func (f *logFile) name() string { return fileName(f.prefix, f.index) }

// openNewest goes on in the newest existing file, or behind it if that is not a plain file of ours.
func (f *logFile) openNewest() error {
	all, err := f.list()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return f.create(max(f.index, 0))
	}
	newest := all[len(all)-1]
	if newest < f.index {
		return f.create(f.index)
	}
	fd, err := unix.Openat(f.dir, fileName(f.prefix, newest), unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		var st unix.Stat_t
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink == 1 {
			f.use(fd, newest)
			return nil
		}
		unix.Close(fd)
	}
	if err != nil && !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.EISDIR) {
		return fmt.Errorf("open log file %s: %w", filepath.Join(f.path, fileName(f.prefix, newest)), err)
	}
	return f.create(newest + 1)
}

// create makes the index-th file, or the first free one behind it.
func (f *logFile) create(index int) error {
	for {
		fd, err := unix.Openat(f.dir, fileName(f.prefix, index), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, f.mode)
		if errors.Is(err, unix.EEXIST) {
			index++
			continue
		}
		if err == nil {
			err = unix.Fchmod(fd, f.mode) // past the umask
		}
		if err != nil {
			return fmt.Errorf("create log file %s: %w", filepath.Join(f.path, fileName(f.prefix, index)), err)
		}
		f.use(fd, index)
		return nil
	}
}

func (f *logFile) use(fd, index int) {
	if f.fd >= 0 {
		unix.Close(f.fd)
	}
	f.fd, f.index = fd, index
}

// rotate goes on in a new, empty file.
func (f *logFile) rotate() error { return f.create(f.index + 1) }

// size returns where the next byte goes: the file's end, which is also right after someone truncated it. A removed file
// is made anew.
func (f *logFile) size() (int64, error) {
	var st unix.Stat_t
	if f.fd >= 0 {
		if err := unix.Fstat(f.fd, &st); err != nil {
			return 0, fmt.Errorf("examine log file %s: %w", filepath.Join(f.path, f.name()), err)
		}
		if st.Nlink > 0 {
			return st.Size, nil
		}
	}
	if err := f.openNewest(); err != nil {
		return 0, err
	}
	if err := unix.Fstat(f.fd, &st); err != nil {
		return 0, fmt.Errorf("examine log file %s: %w", filepath.Join(f.path, f.name()), err)
	}
	return st.Size, nil
}

// atLineStart reports whether a file of that size is empty or ends with a newline.
func (f *logFile) atLineStart(size int64) (bool, error) {
	if size == 0 {
		return true, nil
	}
	var last [1]byte
	if _, err := unix.Pread(f.fd, last[:], size-1); err != nil {
		return false, fmt.Errorf("read end of log file %s: %w", filepath.Join(f.path, f.name()), err)
	}
	return last[0] == '\n', nil
}

// write puts all of b at offset or nothing.
func (f *logFile) write(b []byte, offset int64) error {
	for done := 0; done < len(b); {
		n, err := unix.Pwrite(f.fd, b[done:], offset+int64(done))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			err = unix.ENOSPC
		}
		if err != nil {
			unix.Ftruncate(f.fd, offset)
			return fmt.Errorf("write log file %s: %w", filepath.Join(f.path, f.name()), err)
		}
		done += n
	}
	return nil
}

// rollback takes back everything written behind byte size of the index-th file.
func (f *logFile) rollback(index int, size int64) error {
	all, err := f.list()
	if err != nil {
		return err
	}
	for _, n := range all {
		if n <= index {
			continue
		}
		if err := unix.Unlinkat(f.dir, fileName(f.prefix, n), 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove log file %s: %w", filepath.Join(f.path, fileName(f.prefix, n)), err)
		}
	}
	f.index = index
	if err := f.openNewest(); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return fmt.Errorf("examine log file %s: %w", filepath.Join(f.path, f.name()), err)
	}
	if f.index != index || st.Size <= size {
		return nil
	}
	if err := unix.Ftruncate(f.fd, size); err != nil {
		return fmt.Errorf("truncate log file %s to %d bytes: %w", filepath.Join(f.path, f.name()), size, err)
	}
	return nil
}

// prune removes the oldest files beyond keep. What cannot be removed is tried again at the next rotation.
func (f *logFile) prune(keep int) {
	all, err := f.list()
	if err != nil {
		return
	}
	for len(all) > keep {
		unix.Unlinkat(f.dir, fileName(f.prefix, all[0]), 0)
		all = all[1:]
	}
}

// list returns the numbers of the files that exist, ascending.
func (f *logFile) list() ([]int, error) {
	fd, err := unix.Openat(f.dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("list log directory %s: %w", f.path, err)
	}
	d := os.NewFile(uintptr(fd), f.path)
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list log directory %s: %w", f.path, err)
	}
	return indexes(f.prefix, names), nil
}
