package state

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/hashicorp/go-memdb"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

// Contents is what a persisted snapshot holds.
type Contents struct {
	Index   uint64
	Cluster *model.Cluster // nil in those of early releases
	Tables  []TableContents
	snap    *Snapshot
}

// TableContents is one table's part.
type TableContents struct {
	Table Table
	Rows  int
	Bytes int64 // encoded
}

// CheckSnapshot reads a persisted snapshot, compressed or not, to its end; no store is touched.
func CheckSnapshot(r io.Reader) (*Contents, error) {
	src, err := Plain(r)
	if err != nil {
		return nil, err
	}
	db, err := memdb.NewMemDB(schema())
	if err != nil {
		return nil, fmt.Errorf("make the state's tables: %w", err)
	}
	txn := db.Txn(true)
	defer txn.Abort()
	sizes := map[Table]*TableContents{}
	allocs := newAllocTable().Txn()
	index, err := readRows(src, txn, allocs, func(t Table, bytes int) {
		c := sizes[t]
		if c == nil {
			c = &TableContents{Table: t}
			sizes[t] = c
		}
		c.Rows++
		c.Bytes += int64(bytes)
	})
	if err != nil {
		return nil, fmt.Errorf("the snapshot cannot be used: %w", err)
	}
	out := &Contents{Index: index, snap: &Snapshot{txn: txn.Snapshot(), allocs: allocs.Commit(), index: index}}
	out.Cluster = out.snap.Cluster()
	for _, k := range rowKinds() {
		if c := sizes[k.table]; c != nil {
			out.Tables = append(out.Tables, *c)
		}
	}
	return out, nil
}

// Rows hands out every row of a table in its API form. Secrets of nodes and digests of tokens are left out.
func (c *Contents) Rows(t Table) []any {
	out := []any{}
	for row := range c.snap.rows(t) {
		switch v := row.(type) {
		case *model.Node:
			row = public(v)
		case *model.IntroToken:
			row = v.Shown()
		}
		out = append(out, row)
	}
	return out
}

// Plain undoes the compression of a snapshot, if it has any.
func Plain(r io.Reader) (io.Reader, error) {
	src := bufio.NewReaderSize(r, 64<<10)
	head, err := src.Peek(2)
	if err != nil || head[0] != 0x1f || head[1] != 0x8b {
		return src, nil // whoever reads it says what is wrong
	}
	z, err := gzip.NewReader(src)
	if err != nil {
		return nil, rpc.Errorf(rpc.ErrInvalid, "the snapshot cannot be used: it is compressed and damaged: %v", err)
	}
	plain := bufio.NewReaderSize(z, 64<<10)
	if head, err := plain.Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		return nil, rpc.Errorf(rpc.ErrInvalid, "the snapshot cannot be used: it is compressed twice; undo one of them (gunzip)")
	}
	return plain, nil
}
