// Package reconcile compares what the servers want of a node with what the node has.
package reconcile

import (
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

// Known is an allocation the node has.
type Known struct {
	Index uint64 // AllocModifyIndex it has acted on
}

// Verb says what to do.
type Verb string

// The verbs.
const (
	Start  Verb = "start"  // run it
	Update Verb = "update" // the servers changed something: a stop, a new job version in place
	Remove Verb = "remove" // the servers have forgotten it: end it and delete what is kept
	Gone   Verb = "gone"   // wanted to stop, but there is nothing of it here: report it complete
)

// Action is one thing to do.
type Action struct {
	Verb  Verb
	ID    string
	Alloc *model.Allocation // nil with Remove
}

// Plan returns what a push asks for, removals first so that their resources are free, then by age.
func Plan(known map[string]Known, push *rpc.NodeAllocsPush) []Action {
	var removals, rest []Action
	remove := func(id string) {
		if _, have := known[id]; have {
			removals = append(removals, Action{Verb: Remove, ID: id})
		}
	}
	for _, id := range push.Removed {
		remove(id)
	}
	wanted := map[string]bool{}
	for _, a := range push.Allocs {
		wanted[a.ID] = true
		if verb := verbFor(known, a); verb != "" {
			rest = append(rest, Action{verb, a.ID, a})
		}
	}
	if push.Full {
		for id := range known {
			if !wanted[id] && !slices.Contains(push.Removed, id) {
				remove(id)
			}
		}
	}
	slices.SortFunc(removals, func(a, b Action) int { return strings.Compare(a.ID, b.ID) })
	slices.SortStableFunc(rest, func(a, b Action) int {
		if c := order(a.Verb) - order(b.Verb); c != 0 {
			return c
		}
		switch {
		case a.Alloc.CreateIndex < b.Alloc.CreateIndex:
			return -1
		case a.Alloc.CreateIndex > b.Alloc.CreateIndex:
			return 1
		}
		return strings.Compare(a.ID, b.ID)
	})
	return append(removals, rest...)
}

// order puts stops before starts: what stops may free what starts needs.
func order(v Verb) int {
	if v == Start {
		return 1
	}
	return 0
}

func verbFor(known map[string]Known, a *model.Allocation) Verb {
	if k, have := known[a.ID]; have {
		if a.AllocModifyIndex > k.Index {
			return Update
		}
		return ""
	}
	switch {
	case a.ClientTerminal():
		return "" // over and already cleaned up here
	case a.ServerTerminal():
		return Gone
	}
	return Start
}
