package statedb

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// handles are copies of the task records, one file each, for the day the database is damaged. The name is the hex of
// the record's key; the content is as in the database, checksum included.
type handles struct{ dir string }

// write brings the copies in line. Failing is harmless until the database is damaged too, so it is not reported.
func (h handles) write(ops map[string][]byte) {
	for k, v := range ops {
		if !strings.HasPrefix(k, "task"+sep) {
			continue
		}
		path := filepath.Join(h.dir, hex.EncodeToString([]byte(k)))
		if v == nil {
			os.Remove(path)
			continue
		}
		if os.WriteFile(path+".new", sum(k, v), 0o600) == nil {
			os.Rename(path+".new", path)
		}
	}
}

// read returns the copies that are whole.
func (h handles) read() (map[string][]byte, error) {
	entries, err := os.ReadDir(h.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, e := range entries {
		key, err := hex.DecodeString(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join(h.dir, e.Name()))
		if err != nil {
			return out, err
		}
		if v, err := check(string(key), b); err == nil {
			out[string(key)] = v
		}
	}
	return out, nil
}
