package keeper

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

// records keeps one small file per task, so that a task's identity and exit
// outlive the keeper. The files are replaced by rename and never synced: what
// they describe does not survive the machine either.
type records struct{ dir string }

// openRecords makes the directory if needed.
func openRecords(dir string) (records, error) {
	r := records{dir: filepath.Join(dir, "tasks")}
	return r, os.MkdirAll(r.dir, 0o700)
}

// path is the file of a task: its id where that can be a file name, told apart
// by a digest in any case.
func (r records) path(id string) string {
	clean := strings.Map(func(c rune) rune {
		if c == '-' || c == '.' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, id)
	if len(clean) > 120 {
		clean = clean[:120]
	}
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(r.dir, clean+"-"+hex.EncodeToString(sum[:4])+".json")
}

// put writes a task's record.
func (r records) put(t Task) error {
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode record of task %s: %w", t.ID, err)
	}
	path := r.path(t.ID)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("write record of task %s: %w", t.ID, err)
	}
	return os.Rename(path+".new", path)
}

// drop removes a task's record; a missing one is fine.
func (r records) drop(id string) error {
	err := os.Remove(r.path(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// all reads every record that can be read; the errors are of the others.
func (r records) all() ([]Task, error) {
	files, err := filepath.Glob(filepath.Join(r.dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var tasks []Task
	var failed []error
	for _, file := range files {
		var t Task
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &t)
		}
		if err != nil || t.ID == "" {
			failed = append(failed, fmt.Errorf("read task record %s: %w", file, err))
			continue
		}
		tasks = append(tasks, t)
	}
	return tasks, errors.Join(failed...)
}

// Records returns what keepers have written down in dir: tasks not released
// yet, as they were last known. It needs no running keeper.
func Records(dir string) ([]Task, error) {
	r := records{dir: filepath.Join(dir, "tasks")}
	return r.all()
}

// Forget removes the record of a task when no keeper runs.
func Forget(dir, id string) error {
	return records{dir: filepath.Join(dir, "tasks")}.drop(id)
}
