package tasklog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// slotSize is the room of one journal record; two of them alternate, so that the previous one is whole while the next is
// being written. They are overwritten in place, which needs no new disk block: a journal works on a full disk.
const slotSize = 2048

// mark is a record of a stream's journal. Pending: an append is being written behind byte Size of file Index, and must be
// taken back if this is the last record. Otherwise everything up to Cursor is in the files, whatever else was written
// since.
type mark struct {
	Seq     uint64
	Pending bool
	Index   int
	Size    int64
	Cursor  string
}

const markHead = 4 + 8 + 1 + 8 + 8 + 2 // checksum, seq, pending, index, size, cursor length

func (m mark) encode() []byte {
	b := make([]byte, 4, markHead+len(m.Cursor))
	b = binary.BigEndian.AppendUint64(b, m.Seq)
	pending := byte(0)
	if m.Pending {
		pending = 1
	}
	b = append(b, pending)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Index))
	b = binary.BigEndian.AppendUint64(b, uint64(m.Size))
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Cursor)))
	b = append(b, m.Cursor...)
	binary.BigEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return b
}

func decodeMark(b []byte) (mark, bool) {
	if len(b) < markHead {
		return mark{}, false
	}
	n := int(binary.BigEndian.Uint16(b[markHead-2:]))
	if n > maxCursor || len(b) < markHead+n {
		return mark{}, false
	}
	b = b[:markHead+n]
	if binary.BigEndian.Uint32(b) != crc32.ChecksumIEEE(b[4:]) {
		return mark{}, false
	}
	return mark{
		Seq:     binary.BigEndian.Uint64(b[4:]),
		Pending: b[12] == 1,
		Index:   int(binary.BigEndian.Uint64(b[13:])),
		Size:    int64(binary.BigEndian.Uint64(b[21:])),
		Cursor:  string(b[markHead:]),
	}, true
}

// journal keeps a stream's cursor on disk, together with what has to be taken back after a kill. The file exists from the
// first append on.
type journal struct {
	path string
	file *os.File
	last mark
}

// openJournal reads the journal at path, if there is one.
func openJournal(path string) (*journal, error) {
	j := &journal{path: path}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open cursor journal: %w", err)
	}
	j.file = f
	var both [2 * slotSize]byte
	if _, err := io.ReadFull(f, both[:]); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		f.Close()
		return nil, fmt.Errorf("read cursor journal: %w", err)
	}
	for _, slot := range [][]byte{both[:slotSize], both[slotSize:]} {
		if m, ok := decodeMark(slot); ok && m.Seq > j.last.Seq {
			j.last = m
		}
	}
	return j, nil
}

// put makes m the last record.
func (j *journal) put(m mark) error {
	if j.file == nil {
		f, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("create cursor journal: %w", err)
		}
		if _, err := f.WriteAt(make([]byte, 2*slotSize), 0); err != nil {
			f.Close()
			os.Remove(j.path)
			return fmt.Errorf("create cursor journal: %w", err)
		}
		j.file = f
	}
	m.Seq = j.last.Seq + 1
	if _, err := j.file.WriteAt(m.encode(), int64(m.Seq%2)*slotSize); err != nil {
		return fmt.Errorf("write cursor journal: %w", err)
	}
	j.last = m
	return nil
}

func (j *journal) close() {
	if j.file != nil {
		j.file.Close()
		j.file = nil
	}
}
