package tasklog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	defaultMaxFiles    = 10
	defaultMaxFileSize = 10_000_000
	maxCursor          = 1 << 10
	maxAppend          = 256 << 10
)

// Stream is one log: where its bytes come from and which files they go to.
type Stream struct {
	// ID is unique on the node, for example "<allocation>/web/stdout".
	ID string `json:"id"`
	// FIFO is the absolute path of the named pipe that the collector makes (mode 0600) and reads. Empty: the stream is
	// written by Append only.
	FIFO string `json:"fifo,omitempty"`
	// Dir is the existing directory of the log files, absolute.
	Dir string `json:"dir"`
	// Prefix is the files' name up to the dot and number: "web.stdout" gives web.stdout.0, web.stdout.1, ...
	Prefix string `json:"prefix"`
	// MaxFiles is how many files are kept, at least 1; 0 means 10.
	MaxFiles int `json:"max_files"`
	// MaxFileSize is in bytes; 0 means 10 MB.
	MaxFileSize int64 `json:"max_file_size"`
	// MaxRate is how many bytes per second are read from the FIFO, after a burst of four times as many; 0: all that come.
	// Who writes more waits.
	MaxRate int64 `json:"max_rate,omitempty"`
	// Owner of the FIFO, for a driver whose tasks open it as another user; nil leaves the collector's own.
	Owner *Owner `json:"owner,omitempty"`
	// Mode of the log files; 0 means 0644.
	Mode os.FileMode `json:"mode"`
}

// Owner is a numeric user and group.
type Owner struct {
	UID int `json:"uid"`
	GID int `json:"gid"`
}

// Limits are what Update can change of a stream; zero means the default as in Stream.
type Limits struct {
	MaxFiles    int   `json:"max_files"`
	MaxFileSize int64 `json:"max_file_size"`
}

// StreamInfo is a stream as the collector holds it.
type StreamInfo struct {
	Stream
	// File is the base name of the file written to, Size its size in bytes.
	File string `json:"file"`
	Size int64  `json:"size"`
	// Written and Dropped count bytes since this collector process began.
	Written int64 `json:"written"`
	Dropped int64 `json:"dropped"`
	// Stalled: the file cannot be written at present; Error says why, or why the stream could not be opened again.
	Stalled bool   `json:"stalled,omitempty"`
	Error   string `json:"error,omitempty"`
}

// EventKind is what happened to a stream or to the collector.
type EventKind string

const (
	// EventDropping: a file could not be written for 5 s, bytes are being dropped from now on.
	EventDropping EventKind = "dropping"
	// EventDropped: writing works again (or the stream was closed); Bytes were lost in all.
	EventDropped EventKind = "dropped"
	// EventError: a stream cannot be read; Message says why.
	EventError EventKind = "error"
	// EventRelaunched: the collector had died and another one goes on. Made by the client.
	EventRelaunched EventKind = "relaunched"
)

// Event is what an operator or the task's event list should know.
type Event struct {
	Time     time.Time `json:"time"`
	Kind     EventKind `json:"kind"`
	StreamID string    `json:"stream,omitempty"`
	Bytes    int64     `json:"bytes,omitempty"`
	Message  string    `json:"message"`
}

// withDefaults fills what was left zero.
func (s Stream) withDefaults() Stream {
	l := Limits{MaxFiles: s.MaxFiles, MaxFileSize: s.MaxFileSize}.withDefaults()
	s.MaxFiles, s.MaxFileSize = l.MaxFiles, l.MaxFileSize
	if s.Mode == 0 {
		s.Mode = 0o644
	}
	return s
}

func (l Limits) withDefaults() Limits {
	if l.MaxFiles == 0 {
		l.MaxFiles = defaultMaxFiles
	}
	if l.MaxFileSize == 0 {
		l.MaxFileSize = defaultMaxFileSize
	}
	return l
}

func (l Limits) validate() error {
	if l.MaxFiles < 1 {
		return fmt.Errorf("%w: max_files is %d, must be at least 1", ErrInvalid, l.MaxFiles)
	}
	if l.MaxFileSize < 1 {
		return fmt.Errorf("%w: max_file_size is %d bytes, must be at least 1", ErrInvalid, l.MaxFileSize)
	}
	return nil
}

// validate expects defaults to be filled.
func (s Stream) validate() error {
	if s.ID == "" || len(s.ID) > 1024 {
		return fmt.Errorf("%w: the stream's id must have 1 to 1024 bytes, has %d", ErrInvalid, len(s.ID))
	}
	for _, p := range []struct{ name, path string }{{"directory", s.Dir}, {"fifo", s.FIFO}} {
		if p.path == "" && p.name == "fifo" {
			continue
		}
		if !filepath.IsAbs(p.path) || len(p.path) > 4000 {
			return fmt.Errorf("%w: %s path %q is not an absolute path of at most 4000 bytes", ErrInvalid, p.name, p.path)
		}
	}
	if s.Prefix == "" || s.Prefix != filepath.Base(s.Prefix) || s.Prefix == "." || s.Prefix == ".." ||
		strings.ContainsRune(s.Prefix, 0) || len(s.Prefix) > 240 {
		return fmt.Errorf("%w: prefix %q is not a file name of at most 240 bytes", ErrInvalid, s.Prefix)
	}
	return Limits{s.MaxFiles, s.MaxFileSize}.validate()
}

// samePlace reports whether both describe the same pipe and the same files.
func (s Stream) samePlace(o Stream) bool {
	return s.FIFO == o.FIFO && s.Dir == o.Dir && s.Prefix == o.Prefix
}
