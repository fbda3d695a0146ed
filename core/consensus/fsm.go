package consensus

import (
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/droverhq/drover/core/state"
)

// machine applies the log to the state.
type machine struct{ store *state.Store }

var _ raft.FSM = machine{}

// outcome is what applying an entry gave.
type outcome struct {
	value any
	err   error
}

// Apply applies one entry. An entry that cannot be decoded ends the process: skipping it would make this server's state
// differ from that of the others without anybody noticing.
func (m machine) Apply(log *raft.Log) any {
	e, err := Decode(log.Data)
	if err != nil {
		panic(fmt.Sprintf("apply raft entry %d: %v", log.Index, err))
	}
	var out outcome
	out.err = m.store.Write(log.Index, e.at(), e.kind(), func(tx *state.Txn) (err error) {
		out.value, err = e.apply(tx)
		return err
	})
	return out
}

// Snapshot is cheap: the state's snapshots share everything.
func (m machine) Snapshot() (raft.FSMSnapshot, error) { return persister{m.store.Snapshot()}, nil }

// Restore replaces the state.
func (m machine) Restore(r io.ReadCloser) error {
	defer r.Close()
	return m.store.Restore(r)
}

type persister struct{ snap *state.Snapshot }

func (p persister) Persist(sink raft.SnapshotSink) error {
	if err := p.snap.Persist(sink); err != nil {
		sink.Cancel()
		return err
	}
	return sink.Close()
}

func (persister) Release() {}
