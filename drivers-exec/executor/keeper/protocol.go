package keeper

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// Version is the protocol's. A keeper answers any client whose version is not
// higher than its own; a client upgrades a keeper that is older than itself.
const Version = 1

// maxFrame bounds one message. An environment can be large: the kernel takes
// at most 128 KiB per variable and a quarter of the stack limit in all.
const maxFrame = 8 << 20

// Operations of a client.
const (
	opHello   = "hello"
	opStart   = "start"
	opAdopt   = "adopt"
	opRelease = "release"
	opUpgrade = "upgrade"
	opSignal  = "signal" // Windows only: a console event has to come from the same console
	opKill    = "kill"   // Windows only: the keeper holds the task's job object
)

// message is the one shape of everything on the wire: a request names an Op, an
// answer repeats the request's Seq, and a message with neither tells that Task
// has ended.
type message struct {
	Seq     uint64          `json:",omitempty"`
	Op      string          `json:",omitempty"`
	Version int             `json:",omitempty"`
	ID      string          `json:",omitempty"`
	Proc    proc.ID         `json:",omitzero"`
	Started time.Time       `json:",omitzero"`
	Session bool            `json:",omitempty"`
	Note    json.RawMessage `json:",omitempty"`
	Spec    *launch.Spec    `json:",omitempty"`
	Program string          `json:",omitempty"`
	Token   string          `json:",omitempty"`
	Task    *Task           `json:",omitempty"`
	Tasks   []Task          `json:",omitempty"`
	Error   string          `json:",omitempty"`
	Class   string          `json:",omitempty"`
}

// Task is a process that the keeper holds.
type Task struct {
	// ID is the client's name for it.
	ID string
	// Proc is the process.
	Proc proc.ID
	// Started is when it was forked.
	Started time.Time
	// Exit is how it ended; nil while it runs.
	Exit *proc.Exit `json:",omitempty"`
	// Adopted says that it is no child of this keeper.
	Adopted bool `json:",omitempty"`
	// Note is the client's own, kept with the task's record.
	Note json.RawMessage `json:",omitempty"`
}

// Classes of errors that clients tell apart.
var (
	// ErrExists: a task of that id is held already.
	ErrExists = errors.New("task is held by the keeper already")
	// ErrUnknown: no task of that id is held.
	ErrUnknown = errors.New("task is not held by the keeper")
	// ErrInUse: a command runs inside a task; it would end with an upgrade.
	ErrInUse = errors.New("commands run inside tasks")
	// ErrLost: the connection to the keeper ended.
	ErrLost = errors.New("connection to the keeper was lost")
)

var classes = map[string]error{"exists": ErrExists, "unknown": ErrUnknown, "in use": ErrInUse, "gone": proc.ErrGone}

// classOf names an error's class for the wire.
func classOf(err error) string {
	for name, class := range classes {
		if errors.Is(err, class) {
			return name
		}
	}
	return ""
}

// err rebuilds the error an answer carries.
func (m *message) err() error {
	switch class, known := classes[m.Class]; {
	case m.Error == "":
		return nil
	case known:
		return &remoteError{text: m.Error, class: class}
	default:
		return errors.New(m.Error)
	}
}

// remoteError has the keeper's text and the class it belongs to.
type remoteError struct {
	text  string
	class error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.class }

// encode frames a message: four bytes of length, then JSON.
func encode(m *message) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s message: %w", m.Op, err)
	}
	if len(body) > maxFrame {
		return nil, fmt.Errorf("%s message for %s has %d bytes, the limit is %d", m.Op, m.ID, len(body), maxFrame)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...), nil
}

// decode reads the rest of a frame whose header was read.
func decode(header [4]byte, r io.Reader) (*message, error) {
	size := binary.BigEndian.Uint32(header[:])
	if size > maxFrame {
		return nil, fmt.Errorf("message of %d bytes, the limit is %d", size, maxFrame)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	m := new(message)
	return m, json.Unmarshal(body, m)
}
