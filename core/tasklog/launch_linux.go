package tasklog

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

func supported() error { return nil }

// detach puts the collector into a session of its own: no terminal's signal and no death of this process reaches it.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}

// defaultExecutable is the running program even after its file was replaced.
func defaultExecutable() (string, error) { return "/proc/self/exe", nil }

func dialCollector(ctx context.Context, socket string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", socket)
}

// trusted refuses a socket served by another user.
func trusted(conn net.Conn) error {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return errors.New("connection is not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var check error
	if err := raw.Control(func(fd uintptr) { _, check = checkPeer(int(fd)) }); err != nil {
		return err
	}
	return check
}

// holdFIFO keeps a pipe open, so that the bytes in it survive the time between two collectors. The descriptor is not
// watched by anybody.
func holdFIFO(path string) (release func(), err error) {
	fd, err := openFIFO(path)
	if err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { unix.Close(fd) }), nil
}
