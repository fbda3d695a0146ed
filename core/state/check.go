package state

import (
	"fmt"
	"io"

	"github.com/hashicorp/go-memdb"
)

// CheckSnapshot reads a persisted snapshot through without keeping it and returns its index.
func CheckSnapshot(r io.Reader) (uint64, error) {
	db, err := memdb.NewMemDB(schema())
	if err != nil {
		return 0, fmt.Errorf("make the state's tables: %w", err)
	}
	txn := db.Txn(true)
	defer txn.Abort()
	index, err := readRows(r, txn, newAllocTable().Txn())
	if err != nil {
		return 0, fmt.Errorf("restore state: %w", err)
	}
	return index, nil
}
