package tasklog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// compactFrom is the size in bytes from which a registry that is mostly dead is written anew.
const compactFrom = 64 << 10

// registry remembers the open streams on disk, so that a new collector goes on without anyone's help. It is one file with
// a line per stream: a mark, live or dead, and the record as JSON. Opening a stream appends a line, closing it overwrites
// the mark, which needs no room on a full disk. Of two live lines of one stream, left by a kill during an update, the
// later counts.
type registry struct {
	path  string
	file  *os.File
	size  int64            // end of the last whole line
	dead  int64            // bytes in dead lines
	lines map[string]entry // live ones, by stream
}

// entry is where a live line is, newline included.
type entry struct {
	offset, length int64
}

const (
	liveMark = '+'
	deadMark = '-'
)

// record is what is remembered of one stream.
type record struct {
	Stream Stream `json:"stream"`
	// Directory is the identity of Stream.Dir when the stream was first opened.
	Directory directoryID `json:"directory"`
}

// directoryID tells whether a path still names the directory that it once named.
type directoryID struct {
	Dev uint64 `json:"dev"`
	Ino uint64 `json:"ino"`
}

// openRegistry returns the remembered streams, in the order in which they were opened. Lines that make no sense are
// forgotten and named in broken; a last line that was cut short was never answered for and goes silently.
func openRegistry(stateDir string) (r *registry, live []record, broken []error, err error) {
	path := filepath.Join(stateDir, "streams")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("open log collector's registry: %w", err)
	}
	r = &registry{path: path, file: file, lines: map[string]entry{}}
	data, err := io.ReadAll(file)
	if err != nil {
		file.Close()
		return nil, nil, nil, fmt.Errorf("read log collector's registry %s: %w", path, err)
	}
	at := map[string]int{}
	for {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			break
		}
		data = rest
		e := entry{offset: r.size, length: int64(len(line)) + 1}
		r.size += e.length
		rec, ok, err := parseLine(line)
		if err != nil {
			broken = append(broken, fmt.Errorf("forget stream, byte %d of %s: %w", e.offset, path, err))
		}
		if !ok {
			r.dead += e.length
			continue
		}
		if i, again := at[rec.Stream.ID]; again {
			r.dead += r.lines[rec.Stream.ID].length
			live[i] = rec
		} else {
			at[rec.Stream.ID] = len(live)
			live = append(live, rec)
		}
		r.lines[rec.Stream.ID] = e
	}
	if err := file.Truncate(r.size); err != nil {
		file.Close()
		return nil, nil, nil, fmt.Errorf("repair log collector's registry %s: %w", path, err)
	}
	return r, live, broken, nil
}

// parseLine returns ok = false for a dead or a senseless line.
func parseLine(line []byte) (rec record, ok bool, err error) {
	if len(line) == 0 || line[0] == deadMark {
		return rec, false, nil
	}
	if line[0] != liveMark {
		return rec, false, fmt.Errorf("unknown mark %q", line[0])
	}
	if err := json.Unmarshal(line[1:], &rec); err != nil {
		return rec, false, err
	}
	err = rec.Stream.validate()
	return rec, err == nil, err
}

// save remembers a stream, or what changed of it.
func (r *registry) save(rec record) error {
	line, err := encodeLine(rec)
	if err != nil {
		return err
	}
	if _, err := r.file.WriteAt(line, r.size); err != nil {
		r.file.Truncate(r.size)
		return fmt.Errorf("remember stream %s: %w", rec.Stream.ID, err)
	}
	e := entry{offset: r.size, length: int64(len(line))}
	r.size += e.length
	if err := r.bury(rec.Stream.ID); err != nil {
		return err
	}
	r.lines[rec.Stream.ID] = e
	return nil
}

func encodeLine(rec record) ([]byte, error) {
	data, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("encode record of stream %s: %w", rec.Stream.ID, err)
	}
	return append(append([]byte{liveMark}, data...), '\n'), nil
}

// bury marks a stream's line as dead.
func (r *registry) bury(id string) error {
	e, ok := r.lines[id]
	if !ok {
		return nil
	}
	if _, err := r.file.WriteAt([]byte{deadMark}, e.offset); err != nil {
		return fmt.Errorf("forget stream %s: %w", id, err)
	}
	delete(r.lines, id)
	r.dead += e.length
	return nil
}

// forget removes all that is remembered of a stream.
func (r *registry) forget(id string) error {
	if err := r.bury(id); err != nil {
		return err
	}
	if len(r.lines) == 0 {
		if r.file.Truncate(0) == nil {
			r.size, r.dead = 0, 0
		}
	} else if r.size > compactFrom && r.dead > r.size/2 {
		r.compact()
	}
	return nil
}

// compact writes the live lines to a new file. If that fails, the old one goes on being used.
func (r *registry) compact() error {
	temp := r.path + ".new"
	file, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	next := &registry{path: r.path, file: file, lines: map[string]entry{}}
	for id, e := range r.lines {
		line := make([]byte, e.length)
		if _, err = r.file.ReadAt(line, e.offset); err == nil {
			_, err = file.WriteAt(line, next.size)
		}
		if err != nil {
			break
		}
		next.lines[id] = entry{offset: next.size, length: e.length}
		next.size += e.length
	}
	if err == nil {
		err = os.Rename(temp, r.path)
	}
	if err != nil {
		return errors.Join(err, file.Close(), os.Remove(temp))
	}
	r.file.Close()
	*r = *next
	return nil
}

func (r *registry) close() { r.file.Close() }
