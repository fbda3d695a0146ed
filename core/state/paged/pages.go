package paged

// A page holds 64 rows, a directory 64 pages or directories.
const (
	bits = 6
	fan  = 1 << bits
	mask = fan - 1
)

// edit marks what a running transaction made itself and may change in place.
type edit struct{ _ byte }

// pages are rows by number.
type pages[T any] struct {
	root  *page[T]
	depth int    // of directories above the pages
	used  uint32 // numbers below it were given out
}

// page is one, or a directory.
type page[T any] struct {
	by   *edit
	kids []*page[T] // of a directory
	rows []T        // of a page
	note *notifier  // of a page: shared by all its versions
}

func (p *pages[T]) page(number uint32) *page[T] {
	at := p.root
	for level := p.depth; level > 0; level-- {
		at = at.kids[number>>(level*bits)&mask]
	}
	return at
}

func (p *pages[T]) get(number uint32) T { return p.page(number).rows[number&mask] }

// set changes a row in pages that the transaction owns, copying those that it does not.
func (p *pages[T]) set(by *edit, number uint32, row T) *notifier {
	if p.root == nil {
		p.root = &page[T]{by: by, rows: make([]T, fan), note: new(notifier)}
	}
	for number>>((p.depth+1)*bits) > 0 {
		above := &page[T]{by: by, kids: make([]*page[T], fan)}
		above.kids[0] = p.root
		p.root, p.depth = above, p.depth+1
	}
	at := &p.root
	for level := p.depth; ; level-- {
		if *at == nil && level == 0 {
			*at = &page[T]{by: by, rows: make([]T, fan), note: new(notifier)}
		} else if *at == nil {
			*at = &page[T]{by: by, kids: make([]*page[T], fan)}
		}
		if (*at).by != by {
			*at = (*at).copy(by)
		}
		if level == 0 {
			break
		}
		at = &(*at).kids[number>>(level*bits)&mask]
	}
	(*at).rows[number&mask] = row
	return (*at).note
}

func (p *page[T]) copy(by *edit) *page[T] {
	out := &page[T]{by: by, note: p.note}
	if p.kids != nil {
		out.kids = append(make([]*page[T], 0, fan), p.kids...)
	} else {
		out.rows = append(make([]T, 0, fan), p.rows...)
	}
	return out
}
