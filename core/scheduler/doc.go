// Package scheduler turns an evaluation into a plan. It is pure: everything it knows comes in with Input, everything it
// wants goes out with Outcome. It starts no goroutine, reads no clock and touches no network or disk, so the same input
// always gives the same outcome.
//
// The rooms beneath it, in the order in which an evaluation walks through them:
//
//	reconcile  compares the wanted job with its allocations: what to stop, update, move, place
//	feasible   tells whether a node may run a group, and if not, which rule says so
//	rank       finds the best nodes for a group's placements
//	fleet      the columns all of them read: each node's capacity, use, class, health
//
// The plan applier calls feasible.CheckDraft on what comes out, so both sides hold the same rules.
package scheduler
