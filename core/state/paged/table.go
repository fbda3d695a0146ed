// Package paged is a table for many small rows that change often: a million allocations. It is immutable and shares what
// did not change with the tables before it, like a radix tree of rows, but a change of a row touches no index that it
// does not concern, and a row costs some fifty bytes beside its own, however many indexes there are.
//
// Each row has a number. Rows lie in pages by number; the order of IDs is a B-tree of numbers; an index is a B-tree of
// posting lists of numbers. Numbers are never seen outside: rows are listed in the order of their IDs, so that tables with
// the same rows look the same, however they came about.
package paged

import (
	"iter"
	"slices"
	"strings"

	"github.com/google/btree"
)

// degree of the B-trees: nodes hold up to 63 entries.
const degree = 32

// Schema says how rows are found.
type Schema[T any] struct {
	ID      func(T) string   // what a row is known by, never ""
	Indexes []func(T) string // keys that rows may share; "" = the row is not in that index
}

// Table is all rows at one time. It may be read by several goroutines.
type Table[T any] struct {
	schema  *Schema[T]
	version uint64 // how many transactions made it
	ids     *btree.BTreeG[entry]
	indexes []*btree.BTreeG[list]
	rows    pages[T]
	free    *freed
	all     *notifier
}

// entry is where a row with an ID is.
type entry struct {
	id     string
	number uint32
}

// list is a posting list under its key.
type list struct {
	key string
	*postings
}

// freed is a number that no row has, and the next one.
type freed struct {
	number uint32
	next   *freed
}

// New returns an empty table.
func New[T any](schema Schema[T]) *Table[T] {
	t := &Table[T]{
		schema: &schema, all: new(notifier),
		ids: btree.NewG(degree, func(a, b entry) bool { return a.id < b.id }),
	}
	for range schema.Indexes {
		t.indexes = append(t.indexes, btree.NewG(degree, func(a, b list) bool { return a.key < b.key }))
	}
	return t
}

// Len is the number of rows.
func (t *Table[T]) Len() int { return t.ids.Len() }

// Get returns the row with an ID.
func (t *Table[T]) Get(id string) (row T, ok bool) {
	e, ok := t.ids.Get(entry{id: id})
	if !ok {
		return row, false
	}
	return t.rows.get(e.number), true
}

// Prefix lists the rows whose ID begins with prefix, in the order of IDs. "" lists all.
func (t *Table[T]) Prefix(prefix string) iter.Seq[T] {
	return func(yield func(T) bool) {
		t.ids.AscendGreaterOrEqual(entry{id: prefix}, func(e entry) bool {
			return strings.HasPrefix(e.id, prefix) && yield(t.rows.get(e.number))
		})
	}
}

// By lists the rows with a key in an index, in the order of IDs.
func (t *Table[T]) By(index int, key string) iter.Seq[T] {
	return func(yield func(T) bool) {
		l, ok := t.indexes[index].Get(list{key: key})
		if !ok {
			return
		}
		t.merge(l.postings)
		for _, n := range l.numbers {
			if !l.gone[n] && !yield(t.rows.get(n)) {
				return
			}
		}
	}
}

// WatchAll is closed when a later table has any other row.
func (t *Table[T]) WatchAll() <-chan struct{} { return t.all.wait(t.version) }

// WatchID is closed when a later table has another row of that ID, or before that.
func (t *Table[T]) WatchID(id string) <-chan struct{} {
	e, ok := t.ids.Get(entry{id: id})
	if !ok {
		return t.WatchAll()
	}
	return t.rows.page(e.number).note.wait(t.version)
}

// WatchBy is closed when By lists something else in a later table, or before that.
func (t *Table[T]) WatchBy(index int, key string) <-chan struct{} {
	l, ok := t.indexes[index].Get(list{key: key})
	if !ok {
		return t.WatchAll()
	}
	return l.note.wait(t.version)
}

// postings are the numbers of the rows with a key. Those of a transaction gather what it adds and removes, which is
// merged once, when it is read or committed: a plan may place thousands of allocations of one job.
type postings struct {
	numbers []uint32 // in the order of the rows' IDs; never changed in place
	note    *notifier

	by    *edit
	fresh []uint32        // not yet in numbers
	gone  map[uint32]bool // still in numbers
}

// merge puts what was added in its place. Only lists of a running transaction have anything to merge.
func (t *Table[T]) merge(p *postings) {
	if len(p.fresh) == 0 {
		return
	}
	p.drop() // a row that is gone has no ID any more
	less := func(a, b uint32) int {
		return strings.Compare(t.schema.ID(t.rows.get(a)), t.schema.ID(t.rows.get(b)))
	}
	slices.SortFunc(p.fresh, less)
	merged := make([]uint32, 0, len(p.numbers)+len(p.fresh))
	fresh := p.fresh
	for _, n := range p.numbers {
		for len(fresh) > 0 && less(fresh[0], n) < 0 {
			merged, fresh = append(merged, fresh[0]), fresh[1:]
		}
		merged = append(merged, n)
	}
	p.numbers, p.fresh = append(merged, fresh...), nil
}

// drop takes out what is gone.
func (p *postings) drop() {
	if len(p.gone) == 0 {
		return
	}
	p.numbers = slices.DeleteFunc(slices.Clone(p.numbers), func(n uint32) bool { return p.gone[n] })
	p.gone = nil
}
