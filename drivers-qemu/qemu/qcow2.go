package qemu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// qcow2 is what the header of such an image says about other files. The layout
// is that of QEMU's docs/interop/qcow2.txt.
type qcow2 struct {
	Backing string
	Format  string // that it says Backing has; empty lets QEMU guess
}

// Lengths and numbers of that format.
const (
	qcow2HeaderV2      = 72
	qcow2HeaderV3      = 104
	qcow2DataFile      = 1 << 2 // incompatible feature
	extDataFile        = 0x44415441
	extBackingFormat   = 0xe2792aca
	qcow2MaxBackName   = 1023
	qcow2MaxExtensions = 64
	maxCluster         = 1 << 21
	maxFormat          = 16 // bytes of a format's name
)

// readQcow2 reads the header of an image of a size in bytes, and refuses one
// that QEMU could not open.
func readQcow2(r io.ReaderAt, size int64) (*qcow2, error) {
	head := make([]byte, qcow2HeaderV3)
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if n < qcow2HeaderV2 {
		return nil, errors.New("corrupt qcow2 image: its header is cut short")
	}
	be32, be64 := binary.BigEndian.Uint32, binary.BigEndian.Uint64
	version, length, features := be32(head[4:]), uint32(qcow2HeaderV2), uint64(0)
	switch version {
	case 2:
	case 3:
		if n < qcow2HeaderV3 {
			return nil, errors.New("corrupt qcow2 image: its header is cut short")
		}
		features, length = be64(head[72:]), be32(head[100:])
	case 1:
		return nil, errors.New("images of qcow version 1 are not run: convert it with qemu-img convert -O qcow2")
	default:
		return nil, fmt.Errorf("corrupt qcow2 image: its version is %d", version)
	}
	bits := be32(head[20:])
	if bits < 9 || bits > 21 {
		return nil, fmt.Errorf("corrupt qcow2 image: its cluster size is 2^%d", bits)
	}
	cluster := int64(1) << bits
	if length < qcow2HeaderV2 || int64(length) > cluster {
		return nil, fmt.Errorf("corrupt qcow2 image: its header is %d bytes long", length)
	}
	if be64(head[24:]) == 0 {
		return nil, errors.New("qcow2 image of size 0")
	}
	tables := []struct {
		name   string
		offset uint64
		length uint64
	}{
		{"cluster table", be64(head[40:]), 8 * uint64(be32(head[36:]))},
		{"reference counts", be64(head[48:]), uint64(cluster) * uint64(be32(head[56:]))},
	}
	for _, t := range tables {
		if t.offset == 0 || t.offset%uint64(cluster) != 0 || t.offset > uint64(size) || t.length > uint64(size)-t.offset {
			return nil, fmt.Errorf("corrupt qcow2 image: its %s lie at %d with %d bytes in a file of %d bytes", t.name, t.offset, t.length, size)
		}
	}
	if features&qcow2DataFile != 0 {
		return nil, errDataFile
	}
	h, backing := &qcow2{}, be64(head[8:])
	if backing > uint64(cluster) {
		return nil, fmt.Errorf("corrupt qcow2 image: the name of its backing file lies at %d, in clusters of %d bytes", backing, cluster)
	}
	if err := h.readBacking(r, backing, be32(head[16:])); err != nil {
		return nil, err
	}
	// As QEMU does: what lies behind the backing file's name is not read.
	end := cluster
	if backing != 0 {
		end = int64(backing)
	}
	if err := h.readExtensions(r, int64(length), end); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *qcow2) readBacking(r io.ReaderAt, offset uint64, length uint32) error {
	if offset == 0 {
		return nil
	}
	if length > qcow2MaxBackName || offset > maxCluster {
		return fmt.Errorf("corrupt qcow2 image: the name of its backing file is %d bytes long at %d", length, offset)
	}
	name := make([]byte, length)
	if _, err := r.ReadAt(name, int64(offset)); err != nil {
		return fmt.Errorf("corrupt qcow2 image: read the name of its backing file: %w", err)
	}
	h.Backing = string(name)
	return nil
}

// errDataFile is about images whose content lies in another file.
var errDataFile = errors.New("it is a qcow2 image with an external data file: make one of it with qemu-img convert -O qcow2")

// readExtensions reads the header's extensions, which lie between the header
// and the backing file's name, or else the end of the first cluster.
func (h *qcow2) readExtensions(r io.ReaderAt, at, end int64) error {
	for range qcow2MaxExtensions {
		if at >= end {
			return nil
		}
		if at+8 > end {
			return fmt.Errorf("corrupt qcow2 image: an extension at %d is cut short", at)
		}
		var head [8]byte
		if _, err := r.ReadAt(head[:], at); err != nil {
			return fmt.Errorf("corrupt qcow2 image: read its extensions: %w", err)
		}
		kind, length := binary.BigEndian.Uint32(head[:]), int64(binary.BigEndian.Uint32(head[4:]))
		at += 8
		if kind == 0 {
			return nil
		}
		if length > end-at {
			return fmt.Errorf("corrupt qcow2 image: an extension of %d bytes at %d", length, at)
		}
		switch kind {
		case extDataFile:
			return errDataFile
		case extBackingFormat:
			text := make([]byte, min(length, maxFormat))
			if _, err := r.ReadAt(text, at); err != nil {
				return fmt.Errorf("corrupt qcow2 image: read its extensions: %w", err)
			}
			h.Format = string(text)
		}
		at += (length + 7) &^ 7
	}
	return errors.New("corrupt qcow2 image: too many extensions")
}
