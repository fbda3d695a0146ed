package qemu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
)

// A vmdk image's header, little-endian: where its fields lie, and where its
// descriptor may end within the file's first bytes.
const (
	vmdkHeader     = 64
	vmdkCapacity   = 12 // sectors, 64 bits
	vmdkDescriptor = 28 // sector, 64 bits
	vmdkLength     = 36 // sectors, 64 bits
	vmdkSector     = 512
)

// checkVMDK refuses a vmdk image that is not complete in itself, by the first 64 KiB of its file. A capacity of zero makes
// QEMU read the descriptor and open the files that it names; otherwise the file's only extent is the file.
func checkVMDK(head []byte) error {
	const flatten = ": make one file of it with qemu-img convert -O qcow2"
	if len(head) < vmdkHeader {
		return errors.New("corrupt vmdk image: its header is cut short")
	}
	le64 := binary.LittleEndian.Uint64
	if le64(head[vmdkCapacity:]) == 0 {
		return errors.New("it is a vmdk image that only describes others" + flatten)
	}
	// QEMU searches the descriptor's usual place, not the one that the header names; so all is searched.
	if bytes.Contains(bytes.ToLower(head), []byte("parentfilenamehint")) {
		return errors.New("it is a vmdk image with another one behind it" + flatten)
	}
	at, length := le64(head[vmdkDescriptor:]), le64(head[vmdkLength:])
	if at == 0 {
		return nil
	}
	sectors := uint64(len(head) / vmdkSector)
	if at >= sectors || length > sectors-at {
		return errors.New("it is a vmdk image whose descriptor does not lie at its beginning" + flatten)
	}
	extents := 0
	for line := range strings.Lines(string(head[at*vmdkSector : (at+length)*vmdkSector])) {
		words := strings.Fields(strings.Trim(line, "\x00"))
		if len(words) < 3 || words[0] != "RW" && words[0] != "RDONLY" && words[0] != "NOACCESS" {
			continue
		}
		if extents++; extents > 1 || words[2] != "SPARSE" {
			return errors.New("it is a vmdk image with content in other files" + flatten)
		}
	}
	return nil
}
