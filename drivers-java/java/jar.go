package java

import (
	"archive/zip"
	"errors"
	"fmt"
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
	if _, err := zip.NewReader(f, st.Size()); errors.Is(err, zip.ErrFormat) {
		return fmt.Errorf("jar_path %q: %s, %d bytes, is no jar or a corrupt one; was it cut short, or is it another kind of file?", given, at, st.Size())
	}
	return nil // what else is wrong with it is the JVM's to say
}

// missingJar explains why a jar cannot be opened. at is where it was looked for.
func missingJar(given, at string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("jar_path %q: there is no file %s; an artifact block puts it there, by default below local/", given, at)
	}
	return fmt.Errorf("jar_path %q: %w", given, err)
}
