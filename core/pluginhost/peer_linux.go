package pluginhost

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/core/pluginhost/process"
)

// checkPeer reports whether the one who listens at the address is the process, or (a plugin behind a wrapper script) one
// of the session it leads, and runs as the user. Sockets know who made them; TCP does not.
func checkPeer(network, addr string, id process.Identity, uid int) error {
	if network != "unix" {
		return nil
	}
	conn, err := net.Dial(network, addr)
	if err != nil {
		return fmt.Errorf("dial %s: %w", addr, err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if credErr != nil {
		return fmt.Errorf("peer of %s: %w", addr, credErr)
	}
	if int(cred.Uid) != uid {
		return fmt.Errorf("socket %s belongs to user %d, not to user %d", addr, cred.Uid, uid)
	}
	if int(cred.Pid) == id.PID {
		return nil
	}
	if sid, err := unix.Getsid(int(cred.Pid)); err == nil && sid == id.PID {
		return nil
	}
	return fmt.Errorf("socket %s belongs to pid %d, not to pid %d", addr, cred.Pid, id.PID)
}
