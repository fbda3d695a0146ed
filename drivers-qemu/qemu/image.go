package qemu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// image is a disk image as QEMU is told about it. The format is always named:
// a guest can write another format's header into a raw disk, and QEMU, left to
// guess at the next start, would follow it to any file on the host.
type image struct {
	Path   string
	Format string
}

// openImage reads what kind of image a file is and refuses it if it is broken
// or leads to files outside of the allowed directories.
func openImage(path string, allow allowed) (image, error) {
	i, err := allow.chain(path, 0)
	if err != nil {
		return i, fmt.Errorf("image %s: %w", path, err)
	}
	return i, nil
}

// maxChain bounds how many images may lie behind each other.
const maxChain = 16

// chain checks an image and all images behind it.
func (a allowed) chain(path string, depth int) (image, error) {
	if depth > maxChain {
		return image{}, fmt.Errorf("more than %d images lie behind it", maxChain)
	}
	st, err := os.Stat(path) // first: opening a FIFO would wait for a writer
	if err != nil {
		return image{}, err
	}
	if !st.Mode().IsRegular() && st.Mode()&os.ModeDevice == 0 {
		return image{}, errors.New("it is neither a file nor a device")
	}
	if st.Mode().IsRegular() && st.Size() == 0 {
		return image{}, errors.New("the file is empty")
	}
	f, err := os.Open(path)
	if err != nil {
		return image{}, err
	}
	defer f.Close()
	format, err := sniff(f)
	if err != nil {
		return image{}, err
	}
	i := image{Path: path, Format: format}
	if format != "qcow2" {
		return i, nil
	}
	h, err := readQcow2(f, st.Size())
	if err != nil {
		return i, err
	}
	if h.Backing == "" {
		return i, nil
	}
	if err := a.backing(path, h, depth); err != nil {
		return i, fmt.Errorf("its backing file %q: %w", h.Backing, err)
	}
	return i, nil
}

// backing checks the image behind one. QEMU opens it as what is declared, so that must be what was checked: a file that is
// raw here and declared as another format could lead QEMU to any file of the host.
func (a allowed) backing(of string, h *qcow2, depth int) error {
	next, err := a.behind(of, h.Backing)
	if err != nil {
		return err
	}
	found, err := a.chain(next, depth+1)
	if err != nil {
		return err
	}
	if found.Format != "raw" && found.Format != "qcow2" {
		return fmt.Errorf("its format is %s, only raw and qcow2 may lie behind an image", found.Format)
	}
	if h.Format == "" {
		return fmt.Errorf("its format is not declared: declare it with qemu-img rebase -u -b %s -F %s", h.Backing, found.Format)
	}
	if h.Format != found.Format {
		return fmt.Errorf("it is declared as %q and is %s", h.Format, found.Format)
	}
	return nil
}

// behind finds a file that an image refers to.
func (a allowed) behind(of, name string) (string, error) {
	if scheme, _, is := strings.Cut(name, ":"); is && !strings.Contains(scheme, "/") && len(scheme) > 1 {
		return "", errors.New("it is not a plain file")
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(of), name)
	}
	return a.resolve(name)
}

// magics are the formats by how their files begin.
var magics = []struct {
	begin  string
	format string
}{
	{"QFI\xfb", "qcow2"},
	{"KDMV", "vmdk"},
	{"vhdxfile", "vhdx"},
	{"conectix", "vpc"},
	{"QED\x00", "qed"},
	{"LUKS\xba\xbe", "luks"},
}

// sniff tells an image's format. What is nothing else is raw.
func sniff(r io.ReaderAt) (string, error) {
	head := make([]byte, 64<<10)
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return "", err
	}
	head = head[:n]
	format := "raw"
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.begin)) {
			format = m.format
		}
	}
	if len(head) >= 68 && binary.LittleEndian.Uint32(head[64:]) == 0xbeda107f {
		format = "vdi"
	}
	switch {
	case format == "qed" || format == "luks":
		return "", fmt.Errorf("images of format %s are not run: convert it with qemu-img convert -O qcow2", format)
	case format == "vmdk":
		return format, checkVMDK(head)
	}
	return format, nil
}
