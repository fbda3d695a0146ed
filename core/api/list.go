package api

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-bexpr"

	"github.com/droverhq/drover/core/rpc"
)

// list describes how a resource is listed: which objects, in which order, how a page continues.
type list[T any] struct {
	items  []T              // everything the caller may see, in order
	cursor func(T) string   // names an item as the first of the next page
	less   func(a, b T) int // nil: already ordered
}

// page applies filter, order and paging and turns what is left into what is sent. The answer is never null.
func page[T, S any](rq *request, l list[T], stub func(T) S) ([]S, error) {
	reverse, err := rq.flag("reverse", false)
	if err != nil {
		return nil, err
	}
	perPage, err := rq.number("per_page", 0)
	if err != nil || perPage < 0 {
		return nil, rpc.Errorf(rpc.ErrInvalid, "per_page must be a number of 0 or more, got %q", rq.str("per_page"))
	}
	var match *bexpr.Evaluator
	if expr := rq.str("filter"); expr != "" {
		if match, err = bexpr.CreateEvaluator(expr); err != nil {
			return nil, rpc.Errorf(rpc.ErrInvalid, "failed to read filter expression: %v", err)
		}
	}
	items := l.items
	if l.less != nil {
		items = slices.Clone(items)
		slices.SortStableFunc(items, l.less)
	}
	if reverse {
		items = slices.Clone(items)
		slices.Reverse(items)
	}
	out := []S{}
	started := rq.str("next_token") == ""
	for _, it := range items {
		if !started {
			c := compareCursors(l.cursor(it), rq.str("next_token"))
			if reverse && c > 0 || !reverse && c < 0 {
				continue
			}
			started = true // at the named item or, when it is gone, at what comes after it
		}
		if match != nil {
			ok, err := match.Evaluate(it)
			if err != nil {
				return nil, rpc.Errorf(rpc.ErrInvalid, "failed to evaluate filter expression: %v", err)
			}
			if !ok {
				continue
			}
		}
		if perPage > 0 && int64(len(out)) == perPage {
			rq.meta.nextToken = l.cursor(it)
			break
		}
		out = append(out, stub(it))
	}
	return out, nil
}

func same[T any](v T) T { return v }

func byIndex(create uint64, id string) string { return fmt.Sprintf("%d.%s", create, id) }

// compareCursors orders "index.id" by number first and everything else as text.
func compareCursors(a, b string) int {
	ai, aid, aok := strings.Cut(a, ".")
	bi, bid, bok := strings.Cut(b, ".")
	an, aerr := strconv.ParseUint(ai, 10, 64)
	bn, berr := strconv.ParseUint(bi, 10, 64)
	if aok && bok && aerr == nil && berr == nil {
		return cmp.Or(cmp.Compare(an, bn), cmp.Compare(aid, bid))
	}
	return cmp.Compare(a, b)
}
