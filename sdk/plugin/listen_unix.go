//go:build unix

package plugin

import (
	"fmt"
	"net"
	"os"
)

// maxSocketPath is the longest path a Unix socket can have, less its terminating zero.
const maxSocketPath = 107

// listen opens a socket of a new name in the directory the host wants, or in the system's for temporary files.
func listen() (net.Listener, error) {
	if os.Getenv(networkVariable) == "tcp" {
		return listenTCP()
	}
	f, err := os.CreateTemp(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "plugin")
	if err != nil {
		return nil, fmt.Errorf("find a name for the socket: %w", err)
	}
	path := f.Name()
	f.Close()
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("find a name for the socket: %w", err)
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("socket path %s has %d bytes, at most %d work: set a shorter TMPDIR", path, len(path), maxSocketPath)
	}
	return net.Listen("unix", path)
}
