package consensus

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

func TestCutOffLogIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	if err := checkLog(path); err != nil {
		t.Errorf("no file: %v", err)
	}
	for round := range 3 { // each ends with the other description as the newest
		db, err := raftboltdb.NewBoltStore(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 * (round + 1) {
			index := uint64(round*1000 + i + 1)
			if err := db.StoreLog(&raft.Log{Index: index, Data: []byte(strings.Repeat(fmt.Sprint(index), 1000))}); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := checkLog(path); err != nil {
			t.Errorf("whole file, round %d: %v", round, err)
		}
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		size int64
		want string
	}{{20000, "was cut off"}, {st.Size() / 2, "was cut off"}, {0, "is empty"}} {
		if err := os.Truncate(path, tt.size); err != nil {
			t.Fatal(err)
		}
		if err := checkLog(path); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%d bytes: got %v, want that it %s", tt.size, err, tt.want)
		}
		if err := os.Truncate(path, st.Size()); err != nil { // the next size is cut from what says its length still
			t.Fatal(err)
		}
	}
}
