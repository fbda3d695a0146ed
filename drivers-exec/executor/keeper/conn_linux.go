package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
)

// conn carries messages and open files over a Unix socket.
type conn struct {
	*net.UnixConn
	write sync.Mutex
	token string // for systems without credentials of peers; empty here
}

// writeWithin bounds a write to a peer that does not read.
const writeWithin = 5 * time.Second

// send writes one message; the files travel with its header.
func (c *conn) send(m *message, files ...int) error {
	frame, err := encode(m)
	if err != nil {
		return err
	}
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	c.write.Lock()
	defer c.write.Unlock()
	_ = c.SetWriteDeadline(time.Now().Add(writeWithin))
	n, _, err := c.WriteMsgUnix(frame, rights, nil)
	if err == nil && n < len(frame) {
		_, err = c.Write(frame[n:])
	}
	return err
}

// receive reads one message and the files that came with it, which the caller
// closes.
func (c *conn) receive() (*message, []int, error) {
	var header [4]byte
	rights := make([]byte, unix.CmsgSpace(8*4))
	n, rn, _, _, err := c.ReadMsgUnix(header[:], rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return nil, nil, err
	}
	files, err := rightsOf(rights[:rn])
	if err == nil && n < len(header) {
		_, err = io.ReadFull(c, header[n:])
	}
	if err != nil {
		closeAll(files)
		return nil, nil, err
	}
	m, err := decode(header, c)
	if err != nil {
		closeAll(files)
		return nil, nil, err
	}
	return m, files, nil
}

func rightsOf(b []byte) (files []int, err error) {
	if len(b) == 0 {
		return nil, nil
	}
	list, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return nil, err
	}
	for i := range list {
		fds, err := unix.ParseUnixRights(&list[i])
		if err != nil {
			return files, err
		}
		files = append(files, fds...)
	}
	return files, nil
}

func closeAll(files []int) {
	for _, fd := range files {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// peer returns who is at the other end, or an error when that is neither root
// nor ourselves.
func (c *conn) peer() (*unix.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, err
	}
	if credErr != nil {
		return nil, credErr
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("peer process %d is of user %d, not of %d or root", cred.Pid, cred.Uid, os.Geteuid())
	}
	return cred, nil
}

// dial connects to the keeper of dir and returns its pid, as the kernel knows
// it: of whoever called listen, the same process through every upgrade.
func dial(ctx context.Context, dir string, c *conn) (int, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", socketPath(dir))
	if err != nil {
		return 0, err
	}
	c.UnixConn = nc.(*net.UnixConn)
	cred, err := c.peer()
	if err != nil {
		nc.Close()
		return 0, err
	}
	return int(cred.Pid), nil
}

// absent reports whether a failed dial means that no keeper is there.
func absent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED)
}

// filesOf lists the files that travel with a start.
func filesOf(spec *launch.Spec, f launch.Files) []int {
	files := f.Stdio[:]
	if spec.Enter.Any() {
		files = append(files[:3:3], f.Enter)
	}
	return files
}
