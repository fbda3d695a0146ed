package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/windows"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// conn carries messages over loopback. No files travel: the keeper opens
// standard files by name.
type conn struct {
	net.Conn
	write sync.Mutex
	token string
}

// writeWithin bounds a write to a peer that does not read.
const writeWithin = 5 * time.Second

func (c *conn) send(m *message, _ ...int) error {
	frame, err := encode(m)
	if err != nil {
		return err
	}
	c.write.Lock()
	defer c.write.Unlock()
	_ = c.SetWriteDeadline(time.Now().Add(writeWithin))
	_, err = c.Write(frame)
	return err
}

func (c *conn) receive() (*message, []int, error) {
	var header [4]byte
	if _, err := io.ReadFull(c.Conn, header[:]); err != nil {
		return nil, nil, err
	}
	m, err := decode(header, c.Conn)
	return m, nil, err
}

// address is the file that leads clients to the keeper. Whoever can read it
// may command the keeper, so it lies in the keeper's own directory.
type address struct {
	Addr  string
	Token string
	Proc  proc.ID
}

func addressPath(dir string) string { return filepath.Join(dir, "keeper.json") }

// logPath is where a keeper's complaints go; there are none in normal times.
func logPath(dir string) string { return filepath.Join(dir, "keeper.log") }

// dial connects to the keeper of dir, if the process that wrote its address
// still is the one that has its pid.
func dial(ctx context.Context, dir string, c *conn) (int, error) {
	text, err := os.ReadFile(addressPath(dir))
	if err != nil {
		return 0, err
	}
	var a address
	if err := json.Unmarshal(text, &a); err != nil {
		return 0, err
	}
	h, err := a.Proc.Open()
	if err != nil {
		return 0, err
	}
	windows.CloseHandle(h)
	var d net.Dialer
	if c.Conn, err = d.DialContext(ctx, "tcp", a.Addr); err != nil {
		return 0, err
	}
	c.token = a.Token
	return a.Proc.PID, nil
}

// absent reports whether a failed dial means that no keeper is there.
func absent(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, proc.ErrGone) || errors.Is(err, windows.WSAECONNREFUSED)
}

func filesOf(*launch.Spec, launch.Files) []int { return nil }

func closeAll([]int) {}

// Signal sends a console event to a task.
func (c *Client) Signal(ctx context.Context, id string) error {
	_, err := c.call(ctx, &message{Op: opSignal, ID: id})
	return err
}

// Kill ends a task with everything in its job object.
func (c *Client) Kill(ctx context.Context, id string) error {
	_, err := c.call(ctx, &message{Op: opKill, ID: id})
	return err
}
