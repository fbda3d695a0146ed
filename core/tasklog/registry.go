package tasklog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// registry remembers the open streams on disk, one small file each, so that a new collector goes on without anyone's help.
type registry struct {
	dir string
}

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

const recordSuffix = ".json"

func newRegistry(stateDir string) (*registry, error) {
	r := &registry{dir: filepath.Join(stateDir, "streams")}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make log collector's state directory: %w", err)
	}
	return r, nil
}

// key is the stream's file name without suffix.
func (r *registry) key(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:12])
}

func (r *registry) journalPath(id string) string {
	return filepath.Join(r.dir, r.key(id)+".cursor")
}

// load returns every remembered stream. What cannot be read is removed and named in the second result.
func (r *registry) load() ([]record, []error, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("list log collector's state directory: %w", err)
	}
	var found []record
	var broken []error
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), recordSuffix) {
			continue
		}
		path := filepath.Join(r.dir, e.Name())
		var rec record
		data, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, &rec)
		}
		if err == nil {
			err = rec.Stream.validate()
		}
		if err != nil {
			os.Remove(path)
			broken = append(broken, fmt.Errorf("forget stream of unreadable record %s: %w", path, err))
			continue
		}
		found = append(found, rec)
	}
	return found, broken, nil
}

// save remembers a stream.
func (r *registry) save(rec record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encode record of stream %s: %w", rec.Stream.ID, err)
	}
	path := filepath.Join(r.dir, r.key(rec.Stream.ID)+recordSuffix)
	temp := path + ".new"
	err = os.WriteFile(temp, data, 0o600)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
		return fmt.Errorf("remember stream %s: %w", rec.Stream.ID, err)
	}
	return nil
}

// forget removes all that is remembered of a stream.
func (r *registry) forget(id string) error {
	path := filepath.Join(r.dir, r.key(id))
	for _, suffix := range []string{".cursor", recordSuffix} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("forget stream %s: %w", id, err)
		}
	}
	return nil
}
