package tasklog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/windows"
)

func supported() error { return nil }

// detach gives the collector no console, so that neither Ctrl-C nor the end of a terminal reaches it.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}
}

func defaultExecutable() (string, error) { return os.Executable() }

// controlPipe is the named pipe that stands for a socket path: pipes have one name space for the whole machine.
func controlPipe(socket string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(filepath.Clean(socket))))
	return `\\.\pipe\drover-logs-` + hex.EncodeToString(sum[:12])
}

func dialCollector(ctx context.Context, socket string) (net.Conn, error) {
	return dialPipe(ctx, controlPipe(socket))
}

// trusted has nothing to check: the pipe's security descriptor lets nobody but this user and the system make a second
// instance of it.
func trusted(net.Conn) error { return nil }

// holdFIFO has nothing to hold: a named pipe's bytes belong to the end that reads, which is the collector's.
func holdFIFO(string) (func(), error) { return func() {}, nil }

func beHelper() {}

func releaseStdout() { os.Stdout.Close() }
