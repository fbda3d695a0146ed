package paged

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// row is known by its ID and found by two keys.
type row struct{ id, job, node string }

func schema() Schema[*row] {
	return Schema[*row]{
		ID:      func(r *row) string { return r.id },
		Indexes: []func(*row) string{func(r *row) string { return r.job }, func(r *row) string { return r.node }},
	}
}

// model is what a table should hold.
type model map[string]*row

func (m model) list(keep func(*row) bool) []*row {
	var out []*row
	for _, id := range slices.Sorted(maps.Keys(m)) {
		if keep(m[id]) {
			out = append(out, m[id])
		}
	}
	return out
}

var keys = []string{"", "a", "b", "c"}

// questions are all that can be asked of a table of this test, each with how to watch it.
func questions(t *Table[*row]) (answers map[string]string, watches map[string]<-chan struct{}) {
	answers, watches = map[string]string{}, map[string]<-chan struct{}{}
	for _, p := range []string{"", "1", "12"} {
		answers["prefix "+p] = show(slices.Collect(t.Prefix(p)))
		watches["prefix "+p] = t.WatchAll()
	}
	for i := range 2 {
		for _, k := range keys[1:] {
			q := fmt.Sprint("by ", i, k)
			answers[q] = show(slices.Collect(t.By(i, k)))
			watches[q] = t.WatchBy(i, k)
		}
	}
	for n := range 200 {
		id := fmt.Sprint(n)
		q := "id " + id
		if r, ok := t.Get(id); ok {
			answers[q] = show([]*row{r})
		}
		watches[q] = t.WatchID(id)
	}
	return answers, watches
}

func (m model) answers() map[string]string {
	out := map[string]string{}
	for _, p := range []string{"", "1", "12"} {
		out["prefix "+p] = show(m.list(func(r *row) bool { return strings.HasPrefix(r.id, p) }))
	}
	for _, k := range keys[1:] {
		out["by 0"+k] = show(m.list(func(r *row) bool { return r.job == k }))
		out["by 1"+k] = show(m.list(func(r *row) bool { return r.node == k }))
	}
	for id, r := range m {
		out["id "+id] = show([]*row{r})
	}
	return out
}

func show(rows []*row) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%s %s %s %p\n", r.id, r.job, r.node, r)
	}
	return b.String()
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// Whatever is written, a table answers as a plain map does, earlier tables go on answering as they did, and what is
// watched wakes when its answer changes.
func TestTableAnswersAsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, now := New(schema()), model{}
		type kept struct {
			table   *Table[*row]
			answers map[string]string
		}
		var history []kept
		id := rapid.Map(rapid.IntRange(0, 199), func(n int) string { return fmt.Sprint(n) })
		key := rapid.SampledFrom(keys)
		for range rapid.IntRange(1, 8).Draw(t, "transactions") {
			before, watches := questions(table)
			history = append(history, kept{table, before})
			x, next := table.Txn(), maps.Clone(now)
			for range rapid.IntRange(0, 60).Draw(t, "changes") {
				switch rapid.IntRange(0, 6).Draw(t, "change") {
				case 0, 1, 2, 3:
					r := &row{id.Draw(t, "id"), key.Draw(t, "job"), key.Draw(t, "node")}
					x.Put(r)
					next[r.id] = r
				case 4, 5:
					gone := id.Draw(t, "gone")
					old, ok := x.Delete(gone)
					if want, there := next[gone]; ok != there || old != want {
						t.Fatalf("deleted %v, %v of %v", old, ok, want)
					}
					delete(next, gone)
				case 6:
					if got, _ := questions(&x.Table); !maps.Equal(nonEmpty(got), nonEmpty(next.answers())) {
						t.Fatalf("in the transaction: %v\nwant %v", nonEmpty(got), nonEmpty(next.answers()))
					}
				}
			}
			if rapid.IntRange(0, 4).Draw(t, "abandon") == 0 {
				for q, ch := range watches {
					if isClosed(ch) {
						t.Fatalf("%s woke for a change that was abandoned", q)
					}
				}
				continue
			}
			table, now = x.Commit(), next
			after, _ := questions(table)
			if want := nonEmpty(now.answers()); !maps.Equal(nonEmpty(after), want) {
				t.Fatalf("%v\nwant %v", nonEmpty(after), want)
			}
			if table.Len() != len(now) {
				t.Fatalf("%d rows, want %d", table.Len(), len(now))
			}
			for q, ch := range watches {
				if before[q] != after[q] && !isClosed(ch) {
					t.Fatalf("%s did not wake: %q is %q", q, before[q], after[q])
				}
			}
			// Who begins to watch an older table is told at once that it is out of date.
			for q, ch := range late(history[len(history)-1].table) {
				if before[q] != after[q] && !isClosed(ch) {
					t.Fatalf("%s, watched late, did not wake", q)
				}
			}
		}
		for i, h := range history {
			if got, _ := questions(h.table); !maps.Equal(got, h.answers) {
				t.Fatalf("table %d of %d changed", i, len(history))
			}
		}
	})
}

func late(t *Table[*row]) map[string]<-chan struct{} {
	_, w := questions(t)
	return w
}

func nonEmpty(m map[string]string) map[string]string {
	out := maps.Clone(m)
	maps.DeleteFunc(out, func(_, v string) bool { return v == "" })
	return out
}

// A list that has nothing to do with a change sleeps on.
func TestOthersAreNotWoken(t *testing.T) {
	table := New(schema())
	x := table.Txn()
	for n := range 5000 {
		x.Put(&row{fmt.Sprintf("%04d", n), "job" + fmt.Sprint(n%10), "node" + fmt.Sprint(n%7)})
	}
	table = x.Commit()
	job3, job4 := table.WatchBy(0, "job3"), table.WatchBy(0, "job4")
	near, far := table.WatchID("0013"), table.WatchID("0999")
	x = table.Txn()
	x.Put(&row{"0013", "job3", "node6"})
	x.Commit()
	if !isClosed(job3) || !isClosed(near) {
		t.Error("what changed did not wake")
	}
	if isClosed(job4) || isClosed(far) {
		t.Error("what did not change woke")
	}
}

// Removing and adding for ever uses no more numbers than there were rows at once.
func TestNumbersAreUsedAgain(t *testing.T) {
	table := New(schema())
	for round := range 100 {
		x := table.Txn()
		for n := range 50 {
			x.Delete(fmt.Sprint(round-1, ".", n))
			x.Put(&row{fmt.Sprint(round, ".", n), "a", "b"})
		}
		table = x.Commit()
	}
	if table.Len() != 50 || table.rows.used > 51 {
		t.Errorf("%d rows, %d numbers used", table.Len(), table.rows.used)
	}
}
