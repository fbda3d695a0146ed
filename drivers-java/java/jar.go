package java

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// checkJar refuses what no JVM takes for a jar, so that the task says why instead of the JVM, in its output, each time it is
// restarted. at is where the file was found.
func checkJar(given, at string, st fs.FileInfo, open func() (*os.File, error)) error {
	switch {
	case st.IsDir():
		return fmt.Errorf("jar_path %q: %s is a directory", given, at)
	case !st.Mode().IsRegular():
		return fmt.Errorf("jar_path %q: %s is no file", given, at)
	}
	f, err := open()
	if err != nil {
		return fmt.Errorf("jar_path %q: %w", given, err)
	}
	defer f.Close()
	if !endsAsZip(f, st.Size()) {
		return fmt.Errorf("jar_path %q: %s, %d bytes, is no jar or a corrupt one; was it cut short, or is it another kind of file?", given, at, st.Size())
	}
	return nil // what else is wrong with it is the JVM's to say
}

// endsAsZip looks for the end of a zip's directory, after which only a comment may stand, and whether the directory can be
// where that says. The directory itself is not read: it is as large as whoever made the file likes.
func endsAsZip(f io.ReaderAt, size int64) bool {
	const record, mostComment, zip64 = 22, 1<<16 - 1, 1<<32 - 1
	tail := make([]byte, min(size, record+mostComment))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return true // the JVM says what is wrong
	}
	at := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if at < 0 || len(tail)-at < record {
		return false
	}
	length, offset := binary.LittleEndian.Uint32(tail[at+12:]), binary.LittleEndian.Uint32(tail[at+16:])
	return length == zip64 || offset == zip64 || int64(length)+int64(offset) <= size-int64(len(tail))+int64(at)
}

// missingJar explains why a jar cannot be opened. at is where it was looked for.
func missingJar(given, at string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("jar_path %q: there is no file %s; an artifact block puts it there, by default below local/", given, at)
	}
	return fmt.Errorf("jar_path %q: %w", given, err)
}
