package qemu

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/digitalocean/go-qemu/qmp"
	"golang.org/x/sys/unix"
)

// hasMonitor is whether a machine can be talked to: its sockets are Unix ones.
const hasMonitor = true

// monitor is a conversation with a running QEMU. QEMU talks to one client at a
// time, so it is kept no longer than needed.
type monitor struct {
	qmp *qmp.SocketMonitor
}

// answerWithin bounds each answer of QEMU's.
const answerWithin = 5 * time.Second

// dialMonitor connects to the QEMU whose working directory is dir, and agrees
// on capabilities.
func dialMonitor(ctx context.Context, dir string) (*monitor, error) {
	path := filepath.Join(dir, monitorSocket)
	// By way of the directory's descriptor, because the path may be longer
	// than a socket's may be.
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	m, err := qmp.NewSocketMonitor("unix", fmt.Sprintf("/proc/self/fd/%d/%s", fd, monitorSocket), answerWithin)
	if err != nil {
		return nil, fmt.Errorf("connect to QEMU's monitor %s: %w", path, err)
	}
	connected := make(chan error, 1)
	go func() { connected <- m.Connect() }()
	select {
	case err := <-connected:
		if err != nil {
			m.Disconnect()
			return nil, fmt.Errorf("negotiate with QEMU at %s: %w", path, err)
		}
		return &monitor{m}, nil
	case <-time.After(answerWithin):
		err = fmt.Errorf("QEMU's monitor %s does not greet within %s", path, answerWithin)
	case <-ctx.Done():
		err = ctx.Err()
	}
	// The connection must not be closed under Connect, which ends when QEMU
	// answers or ends.
	go func() { <-connected; m.Disconnect() }()
	return nil, err
}

func (m *monitor) close() { m.qmp.Disconnect() }

// run carries out a command without arguments. result may be nil.
func (m *monitor) run(ctx context.Context, command string, result any) error {
	text, err := json.Marshal(qmp.Command{Execute: command})
	if err != nil {
		return err
	}
	type reply struct {
		text []byte
		err  error
	}
	replied := make(chan reply, 1)
	go func() {
		text, err := m.qmp.Run(text)
		replied <- reply{text, err}
	}()
	select {
	case r := <-replied:
		if r.err != nil {
			return fmt.Errorf("%s: %w", command, r.err)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(r.text, &struct {
			Return any `json:"return"`
		}{result})
	case <-time.After(answerWithin):
		m.close()
		return fmt.Errorf("%s: QEMU does not answer within %s", command, answerWithin)
	case <-ctx.Done():
		m.close()
		return ctx.Err()
	}
}

// status asks what the machine does: running, paused, shutdown ...
func (m *monitor) status(ctx context.Context) (string, error) {
	var s struct {
		Status string `json:"status"`
	}
	err := m.run(ctx, "query-status", &s)
	return s.Status, err
}
