//go:build unix

package store

import "os"

// own gives a directory of the store its mode, whatever the umask is.
func own(dir string) error { return os.Chmod(dir, dirMode) }
