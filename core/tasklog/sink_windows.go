package tasklog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// sink is the files of one stream: where bytes go, when a new file begins, and the cursor that belongs to them. Its user
// serialises the calls.
type sink struct {
	conf    Stream
	root    *os.Root
	file    *os.File
	index   int
	journal *journal
	written int64
}

// openSink goes on in the newest file and takes back an append that a predecessor did not finish.
func openSink(s Stream, journalPath string) (*sink, error) {
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("open log directory: %w", err)
	}
	k := &sink{conf: s, root: root}
	if k.journal, err = openJournal(journalPath); err != nil {
		root.Close()
		return nil, err
	}
	if err = k.openNewest(); err == nil && k.journal.last.Pending {
		err = k.undo(k.journal.last)
	}
	if err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

func (k *sink) close() {
	if k.file != nil {
		k.file.Close()
	}
	k.journal.close()
	k.root.Close()
}

func (k *sink) list() ([]int, error) {
	d, err := k.root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("list log directory %s: %w", k.conf.Dir, err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list log directory %s: %w", k.conf.Dir, err)
	}
	return indexes(k.conf.Prefix, names), nil
}

func (k *sink) openNewest() error {
	all, err := k.list()
	if err != nil {
		return err
	}
	index := 0
	if len(all) > 0 {
		index = all[len(all)-1]
	}
	return k.use(index)
}

// use goes on in the index-th file, which is made if it is missing.
func (k *sink) use(index int) error {
	f, err := k.root.OpenFile(fileName(k.conf.Prefix, index), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("open log file %s: %w", filepath.Join(k.conf.Dir, fileName(k.conf.Prefix, index)), err)
	}
	if k.file != nil {
		k.file.Close()
	}
	k.file, k.index = f, index
	return nil
}

func (k *sink) size() (int64, error) {
	info, err := k.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("examine log file %s: %w", k.file.Name(), err)
	}
	return info.Size(), nil
}

// write puts data behind what is there, over as many files as it takes: lines stay whole where [cut] and [cutSeen] allow.
func (k *sink) write(data []byte) error {
	for len(data) > 0 {
		size, err := k.size()
		if err != nil {
			return err
		}
		todo, n := cut(size, k.conf.MaxFileSize)
		n = min(n, int64(len(data)))
		if todo == look {
			lineStart, err := k.atLineStart(size)
			if err != nil {
				return err
			}
			todo, n = cutSeen(data[:n], lineStart)
		}
		if todo == rotate {
			if err := k.use(k.index + 1); err != nil {
				return err
			}
			k.prune()
			continue
		}
		if _, err := k.file.WriteAt(data[:n], size); err != nil {
			return errors.Join(fmt.Errorf("write log file: %w", err), k.file.Truncate(size))
		}
		k.written += n
		data = data[n:]
	}
	return nil
}

func (k *sink) atLineStart(size int64) (bool, error) {
	if size == 0 {
		return true, nil
	}
	var last [1]byte
	if _, err := k.file.ReadAt(last[:], size-1); err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read end of log file: %w", err)
	}
	return last[0] == '\n', nil
}

// prune removes the oldest files beyond MaxFiles. One that somebody reads cannot be removed and is tried again at the next
// rotation.
func (k *sink) prune() {
	all, err := k.list()
	if err != nil {
		return
	}
	for ; len(all) > k.conf.MaxFiles; all = all[1:] {
		_ = k.root.Remove(fileName(k.conf.Prefix, all[0]))
	}
}

// append stores data and cursor as one, see [pump.append]'s promise on Linux: a kill before the last step takes it back.
func (k *sink) append(data []byte, cursor string) error {
	if cursor != "" && cursor == k.journal.last.Cursor {
		return nil
	}
	size, err := k.size()
	if err != nil {
		return err
	}
	start := mark{Pending: true, Index: k.index, Size: size, Cursor: k.journal.last.Cursor}
	if err := k.journal.put(start); err != nil {
		return err
	}
	done := mark{Cursor: cursor}
	if cursor == "" {
		done.Cursor = start.Cursor
	}
	if err = k.write(data); err == nil {
		done.Index = k.index
		err = k.journal.put(done)
	}
	if err != nil {
		return errors.Join(err, k.undo(start))
	}
	return nil
}

// undo takes back everything written behind m.
func (k *sink) undo(m mark) error {
	all, err := k.list()
	if err != nil {
		return err
	}
	if err := k.use(m.Index); err != nil {
		return err
	}
	for _, n := range all {
		if n > m.Index {
			if err := k.root.Remove(fileName(k.conf.Prefix, n)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("take back log file: %w", err)
			}
		}
	}
	if size, err := k.size(); err != nil || size > m.Size {
		if err := errors.Join(err, k.file.Truncate(m.Size)); err != nil {
			return fmt.Errorf("take back unfinished append: %w", err)
		}
	}
	return k.journal.put(mark{Index: m.Index, Cursor: m.Cursor})
}

func isDiskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
