package state

import (
	"fmt"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
	"github.com/droverhq/drover/core/state/paged"
)

// Txn is one entry being applied. Its embedded Snapshot sees what it has written so far.
type Txn struct {
	*Snapshot
	now     time.Time
	kind    string
	commit  *Commit
	events  []Event
	columns []func(*fleet.Table) // changes of the fleet, made when the transaction becomes visible
	pushes  map[string]*push     // by node
	touched map[Table]bool

	allocEdit *paged.Txn[*model.Allocation] // nil until an allocation is written

	// Rows that change several times in one entry are collected here and written by finish.
	jobs    map[model.JobID]bool // whose status may have changed
	counts  map[model.JobID]*jobCounts
	summary map[model.JobID]*model.JobSummary
}

// Now is the entry's time.
func (tx *Txn) Now() time.Time { return tx.now }

func (tx *Txn) insert(t Table, row any) {
	if err := tx.txn.Insert(string(t), row); err != nil {
		// Rows are made by this package: a row that does not fit its table is a mistake in the code, and going on would
		// make this server differ from the others.
		panic(fmt.Sprintf("state: insert %T into %s: %v", row, t, err))
	}
	tx.touched[t] = true
}

func (tx *Txn) remove(t Table, row any) {
	if err := tx.txn.Delete(string(t), row); err != nil {
		panic(fmt.Sprintf("state: delete %T from %s: %v", row, t, err))
	}
	tx.touched[t] = true
}

// finish writes what was collected and the tables' indexes.
func (tx *Txn) finish() error {
	tx.flushCounts()
	tx.deriveStatuses()
	tx.flushSummaries()
	for t := range tx.touched {
		if t == tableIndexes || t == tableCounts || t == tableSchemaNodes {
			continue
		}
		tx.insert(tableIndexes, &tableIndex{t, tx.index})
	}
	return nil
}

func (tx *Txn) event(e Event) {
	e.Type = tx.kind
	e.Index = tx.index
	tx.events = append(tx.events, e)
}
