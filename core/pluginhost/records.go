package pluginhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/droverhq/drover/core/pluginhost/process"
)

// Record is what must be known to find a generation, and its process, again after a restart of the agent.
type Record struct {
	File       string // base name in plugin_dir
	Generation uint64
	SHA256     string // names the store's copy
	Name       string // as the plugin reports itself
	Type       string
	Version    string
	APIVersion string // negotiated

	Config  string // digest of the block the process was configured with
	Network string // unix or tcp
	Addr    string
	Cert    string `json:",omitempty"` // the plugin's, from its introduction; empty without TLS
	Stdout  string `json:",omitempty"` // FIFO
	Process process.Identity
	Started int64  // seconds
	Leaving string `json:",omitempty"` // why it takes no new tasks

	// Offers: it has the hand-over extension.
	Offers bool `json:",omitempty"`
	// HandedTo is the generation that has its tasks; 0 = itself.
	HandedTo uint64 `json:",omitempty"`
	// Taking: it was taking over another generation's tasks. Its process must not be used again unless that was finished,
	// because it may know tasks that are not its own.
	Taking bool `json:",omitempty"`
}

// RecordStore keeps records. Save replaces all of them; it must be durable and atomic, and private, because an address
// in it leads to a process that is trusted.
type RecordStore interface {
	Load() (map[string]Record, error)
	Save(map[string]Record) error
}

func recordKey(file string, generation uint64) string { return fmt.Sprintf("%s#%d", file, generation) }

// FileRecords keeps records in a JSON file of mode 0600. A file that cannot be read is set aside (path + ".corrupt"):
// plugins are then launched anew, which costs no task.
func FileRecords(path string) RecordStore { return fileRecords(path) }

type fileRecords string

type recordFile struct {
	Version int
	Records map[string]Record
}

func (f fileRecords) Load() (map[string]Record, error) {
	data, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("plugin records: %w", err)
	}
	var content recordFile
	if err := json.Unmarshal(data, &content); err != nil {
		aside := string(f) + ".corrupt"
		return nil, errors.Join(fmt.Errorf("plugin records %s are corrupt and set aside as %s: %w", f, aside, err),
			os.Rename(string(f), aside))
	}
	return content.Records, nil
}

func (f fileRecords) Save(records map[string]Record) error {
	data, err := json.MarshalIndent(recordFile{Version: 1, Records: records}, "", "  ")
	if err != nil {
		return fmt.Errorf("plugin records: %w", err)
	}
	if err := writePrivate(string(f), data); err != nil {
		return fmt.Errorf("plugin records: %w", err)
	}
	return nil
}

// NoRecords keeps nothing: for agents whose plugins end with them.
func NoRecords() RecordStore { return noRecords{} }

type noRecords struct{}

func (noRecords) Load() (map[string]Record, error) { return nil, nil }
func (noRecords) Save(map[string]Record) error     { return nil }
