package paged

// Txn makes the next table. It is read like a table and shows what was written so far; what it listed must not be written
// to while it is being listed. It is for one goroutine.
type Txn[T any] struct {
	Table[T]
	by      *edit
	touched map[*notifier]bool
	lists   []touchedList
}

// touchedList is where a posting list that the transaction changed belongs.
type touchedList struct {
	index int
	list
}

// Txn begins a change. Only one may be under way, and a table that it was begun on is either followed by what it commits,
// or stays the newest.
func (t *Table[T]) Txn() *Txn[T] {
	x := &Txn[T]{Table: *t, by: new(edit), touched: map[*notifier]bool{}}
	x.version++
	x.ids = t.ids.Clone()
	x.indexes = nil
	for _, tree := range t.indexes {
		x.indexes = append(x.indexes, tree.Clone())
	}
	return x
}

// Put writes a row, in place of the one with its ID.
func (x *Txn[T]) Put(row T) {
	id := x.schema.ID(row)
	e, exists := x.ids.Get(entry{id: id})
	var old T
	if exists {
		old = x.rows.get(e.number)
	} else {
		e = entry{id, x.number()}
	}
	// The row comes first: posting lists are in the order of the rows' IDs.
	x.touched[x.rows.set(x.by, e.number, row)] = true
	if !exists {
		x.ids.ReplaceOrInsert(e)
	}
	for i, key := range x.schema.Indexes {
		is, was := key(row), ""
		if exists {
			was = key(old)
		}
		switch {
		case is == was && is != "":
			x.note(i, is)
		case is != was:
			x.remove(i, was, e.number)
			x.add(i, is, e.number)
		}
	}
}

// Delete removes the row with an ID.
func (x *Txn[T]) Delete(id string) (row T, ok bool) {
	e, ok := x.ids.Delete(entry{id: id})
	if !ok {
		return row, false
	}
	row = x.rows.get(e.number)
	for i, key := range x.schema.Indexes {
		x.remove(i, key(row), e.number)
	}
	var none T
	x.touched[x.rows.set(x.by, e.number, none)] = true
	x.free = &freed{e.number, x.free}
	return row, true
}

// number gives out the number for a new row.
func (x *Txn[T]) number() uint32 {
	if f := x.free; f != nil {
		x.free = f.next
		return f.number
	}
	x.rows.used++
	return x.rows.used - 1
}

// note remembers that a row of the list is another one.
func (x *Txn[T]) note(index int, key string) {
	if l, ok := x.indexes[index].Get(list{key: key}); ok {
		x.touched[l.note] = true
	}
}

func (x *Txn[T]) add(index int, key string, number uint32) {
	if key == "" {
		return
	}
	p := x.own(index, key)
	p.drop() // the number may be one of those
	p.fresh = append(p.fresh, number)
}

func (x *Txn[T]) remove(index int, key string, number uint32) {
	if key == "" {
		return
	}
	p := x.own(index, key)
	for i, n := range p.fresh {
		if n == number {
			p.fresh[i] = p.fresh[len(p.fresh)-1]
			p.fresh = p.fresh[:len(p.fresh)-1]
			return
		}
	}
	if p.gone == nil {
		p.gone = map[uint32]bool{}
	}
	p.gone[number] = true
}

// own returns a list that the transaction may change.
func (x *Txn[T]) own(index int, key string) *postings {
	l, ok := x.indexes[index].Get(list{key: key})
	switch {
	case !ok:
		l = list{key, &postings{by: x.by, note: new(notifier)}}
	case l.by != x.by:
		l = list{key, &postings{by: x.by, note: l.note, numbers: l.numbers}}
	default:
		return l.postings
	}
	x.indexes[index].ReplaceOrInsert(l)
	x.lists = append(x.lists, touchedList{index, l})
	x.touched[l.note] = true
	return l.postings
}

// Commit returns the table with all that was written and wakes those who watch what changed. The transaction is over.
// Whoever is woken must not get at the table before this one.
func (x *Txn[T]) Commit() *Table[T] {
	for _, l := range x.lists {
		l.drop()
		x.merge(l.postings)
		if len(l.numbers) == 0 {
			x.indexes[l.index].Delete(l.list)
		}
	}
	if len(x.touched) > 0 {
		x.all.changed(x.version)
	}
	for n := range x.touched {
		n.changed(x.version)
	}
	t := x.Table
	return &t
}
