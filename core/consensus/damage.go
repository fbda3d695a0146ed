package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Where a bolt file says how large it is: each of its first two pages has a header and then a description, of which the
// one with the higher transaction number counts.
const (
	boltMagic  = 0xED0CDAED
	pageHeader = 16
	metaLength = 64
)

// checkLog refuses a log file that was cut off. Bolt maps the file and would touch memory beyond its end, which ends
// the process without a word on what is wrong; an empty file it would take for a new one, and the server would forget
// all its jobs.
func checkLog(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the raft log: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open the raft log: %w", err)
	}
	const remedy = "restore the server's directory from a backup, or remove it to begin with an empty state"
	if st.Size() == 0 {
		return fmt.Errorf("the raft log %s is empty: %s", path, remedy)
	}
	want, known := boltSize(f, st.Size())
	if known && st.Size() < want {
		return fmt.Errorf("the raft log %s was cut off, it has %d bytes of %d: %s", path, st.Size(), want, remedy)
	}
	return nil // what cannot be read here, bolt reports when it opens the file
}

// boltSize is the least size in bytes that a bolt file says it has.
func boltSize(f io.ReaderAt, size int64) (least int64, known bool) {
	newest := uint64(0)
	for _, at := range []int64{0, int64(os.Getpagesize())} {
		var b [pageHeader + metaLength]byte
		if at+int64(len(b)) > size {
			continue
		}
		if _, err := f.ReadAt(b[:], at); err != nil {
			continue
		}
		m := b[pageHeader:]
		if binary.NativeEndian.Uint32(m) != boltMagic {
			continue
		}
		pageSize, pages, tx := binary.NativeEndian.Uint32(m[8:]), binary.NativeEndian.Uint64(m[40:]), binary.NativeEndian.Uint64(m[48:])
		if known && tx < newest || pages > 1<<40 || pageSize > 1<<20 {
			continue
		}
		least, known, newest = int64(pages)*int64(pageSize), true, tx
	}
	return least, known
}
