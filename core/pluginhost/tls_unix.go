//go:build unix

package pluginhost

import (
	"fmt"
	"os"
	"syscall"
)

// plugins listen on sockets here, in a directory that is private, and the kernel tells who listens
const pluginsUseTCP = false

// makePrivate has nothing to do: temporary files are made with mode 0600.
func makePrivate(string) error { return nil }

// readPrivate reads a file that only this user can read.
func readPrivate(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || int(st.Uid) != os.Geteuid() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s has mode %04o: want a file of this user with mode 0600", path, info.Mode().Perm())
	}
	return os.ReadFile(path)
}
