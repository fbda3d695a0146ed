package statedb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	fileName = "state.db"
	lockWait = 5 * time.Second
)

var bucket = []byte("records")

// errDamaged is any way in which the file cannot be read.
var errDamaged = errors.New("damaged")

// file is the database file and the handle copies beside it. Every value ends in a CRC-32 of key and value.
type file struct {
	db      *bolt.DB
	handles handles
}

func openFile(dir string) (*file, []error, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make client state directory: %w", err)
	}
	path := filepath.Join(dir, fileName)
	hs := handles{filepath.Join(dir, "handles")}
	if err := os.MkdirAll(hs.dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make client state directory: %w", err)
	}
	db, err := openBolt(path)
	if err == nil {
		return &file{db, hs}, nil, nil
	}
	if !errors.Is(err, errDamaged) {
		return nil, nil, err
	}
	aside := path + ".corrupt-" + time.Now().UTC().Format("20060102T150405Z")
	if mvErr := os.Rename(path, aside); mvErr != nil {
		return nil, nil, fmt.Errorf("client state %s is damaged (%w) and cannot be moved aside: %v", path, err, mvErr)
	}
	note := fmt.Errorf("client state %s was damaged and is now %s; the node starts without it and looks for its running tasks by the copies in %s: %w",
		path, aside, hs.dir, err)
	if db, err = openBolt(path); err != nil {
		return nil, []error{note}, err
	}
	f := &file{db, hs}
	salvaged, err := hs.read()
	if err == nil {
		err = f.applyBolt(salvaged)
	}
	notes := []error{note}
	if err != nil {
		notes = append(notes, fmt.Errorf("copies of task handles: %w", err))
	}
	return f, notes, nil
}

// openBolt opens the file and reads all of it once, so that damage shows now. A file of no bytes is damage too: it was
// never written by us.
func openBolt(path string) (db *bolt.DB, err error) {
	if st, err := os.Stat(path); err == nil && st.Size() == 0 {
		return nil, fmt.Errorf("%w: the file is empty", errDamaged)
	}
	if err := guard(func() (err error) { db, err = openLocked(path); return err }); err != nil {
		return nil, err
	}
	if err := walk(db, func([]byte, []byte) {}); err != nil {
		closeQuietly(db)
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	err = guard(func() error {
		return db.Update(func(tx *bolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(bucket)
			return err
		})
	})
	if err != nil {
		closeQuietly(db)
		return nil, fmt.Errorf("open client state %s: %w", path, err)
	}
	return db, nil
}

// openLocked keeps the free list in the file: without it bbolt scans the file in a goroutine of its own when it opens,
// where a panic over damage could not be caught.
func openLocked(path string) (*bolt.DB, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("client state %s is in use by %s: one agent per data_dir; stop the other or give this one its own", path, holder(path))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist), isNoSpace(err):
		return nil, fmt.Errorf("open client state: %w", err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return db, nil
}

// guard runs fn on a file that may be damaged: that makes bbolt panic or touch memory beyond the file, and both come
// back as an error.
func guard(fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return fn()
}

// walk visits every record.
func walk(db *bolt.DB, fn func(k, v []byte)) error {
	return guard(func() error {
		return db.View(func(tx *bolt.Tx) error {
			b := tx.Bucket(bucket)
			if b == nil {
				return nil
			}
			return b.ForEach(func(k, v []byte) error { fn(k, v); return nil })
		})
	})
}

// closeQuietly: a database that was found damaged may panic on close too.
func closeQuietly(db *bolt.DB) {
	defer func() { _ = recover() }()
	db.Close()
}

func (f *file) close() error { return f.db.Close() }

func (f *file) apply(ops map[string][]byte) error {
	if err := f.applyBolt(ops); err != nil {
		return err
	}
	f.handles.write(ops)
	return nil
}

func (f *file) applyBolt(ops map[string][]byte) error {
	err := f.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucket)
		for k, v := range ops {
			if v == nil {
				if err := b.Delete([]byte(k)); err != nil {
					return err
				}
				continue
			}
			if err := b.Put([]byte(k), sum(k, v)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write client state %s: %w", f.db.Path(), err)
	}
	return nil
}

func (f *file) get(key string) (v []byte, err error) {
	err = f.db.View(func(tx *bolt.Tx) error {
		stored := tx.Bucket(bucket).Get([]byte(key))
		if stored == nil {
			return nil
		}
		v, err = check(key, stored)
		return err
	})
	return v, err
}

// all returns every record with a right checksum.
func (f *file) all() (records map[string][]byte, notes []error) {
	records = map[string][]byte{}
	err := walk(f.db, func(k, v []byte) {
		value, err := check(string(k), v)
		if err != nil {
			notes = append(notes, err)
			return
		}
		records[string(k)] = value
	})
	if err != nil {
		notes = append(notes, fmt.Errorf("read client state: %w", err))
	}
	return records, notes
}

func checksum(key string, v []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE([]byte(key)), crc32.IEEETable, v)
}

// sum appends the checksum to a copy of v.
func sum(key string, v []byte) []byte {
	out := make([]byte, 0, len(v)+4)
	return binary.BigEndian.AppendUint32(append(out, v...), checksum(key, v))
}

// check returns a copy of the value without its checksum.
func check(key string, stored []byte) ([]byte, error) {
	n := len(stored) - 4
	if n < 0 || binary.BigEndian.Uint32(stored[n:]) != checksum(key, stored[:n]) {
		return nil, fmt.Errorf("client state record %q is damaged", key)
	}
	return append([]byte(nil), stored[:n]...), nil
}
