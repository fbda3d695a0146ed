package lifecycle

import (
	"fmt"
	"time"
)

// Policy says what a changed file does to the generation that runs.
type Policy string

// The policies.
const (
	// PolicyDrain: the new generation takes new tasks beside the old one, which keeps its own until they end.
	PolicyDrain Policy = "drain"
	// PolicyHandOver: the old one releases its tasks and the new one recovers them. Needs the hand-over extension.
	PolicyHandOver Policy = "hand-over"
	// PolicyManual: a changed file waits until an operator says reload.
	PolicyManual Policy = "manual"
)

// File is what plugin_dir holds under one name.
type File struct {
	Present bool
	Digest  string    // SHA-256 of the bytes; empty while it is not known
	Since   time.Time // when it came to be so
}

// Member is one generation in the family of a file.
type Member struct {
	Number  uint64
	Digest  string
	Usable  bool // its process is up, it is not leaving
	Healthy bool
	Leaving bool
	Dead    bool // retired, or failed for good
}

// RemoveGrace is how long a file may be missing before that counts as removal: replacing a file by remove and copy
// takes a moment.
const RemoveGrace = 3 * time.Second

// Move is what a family of generations must do now.
type Move struct {
	Kind   MoveKind
	Number uint64 // which generation; for MoveCreate the new one's number
	Reason string
}

// MoveKind names a move.
type MoveKind string

// The kinds of moves.
const (
	MoveCreate MoveKind = "create" // a new generation for File.Digest
	MoveDrain  MoveKind = "drain"  // the generation takes no new tasks any more
	MoveResume MoveKind = "resume" // the generation's file is back
	MoveWait   MoveKind = "wait"   // look again when the grace is over
)

// Choose decides which generations a file should have. members are in the order of their numbers. It is called after
// every scan and every change of a member; calling it again without a change yields nothing new, except MoveWait.
func Choose(file File, members []Member, policy Policy, now time.Time) []Move {
	if !file.Present {
		return removed(file, members, now)
	}
	if file.Digest == "" {
		return nil // being verified
	}
	var wanted *Member
	var last uint64
	for i := range members {
		m := &members[i]
		last = max(last, m.Number)
		if m.Digest != file.Digest {
			continue
		}
		// The newest one that failed for good is not tried again; one that was retired is no hindrance.
		if !m.Dead || !m.Leaving && i == len(members)-1 {
			wanted = m
		}
	}
	if wanted == nil {
		if policy == PolicyManual && anyAlive(members) {
			return nil
		}
		return []Move{{Kind: MoveCreate, Number: last + 1, Reason: "new file " + short(file.Digest)}}
	}
	return settle(wanted, members)
}

// settle brings back the wanted generation and lets the others drain once it can take over.
func settle(wanted *Member, members []Member) []Move {
	var moves []Move
	if wanted.Leaving && !wanted.Dead {
		moves = append(moves, Move{Kind: MoveResume, Number: wanted.Number, Reason: "its file is back"})
	}
	ready := wanted.Usable && wanted.Healthy || wanted.Leaving && !wanted.Dead
	for _, m := range members {
		if m.Number == wanted.Number || m.Dead || m.Leaving {
			continue
		}
		// A new generation that is up but unhealthy still replaces one that is no better.
		if ready || wanted.Usable && !m.Healthy {
			moves = append(moves, Move{Kind: MoveDrain, Number: m.Number,
				Reason: fmt.Sprintf("replaced by generation %d (%s)", wanted.Number, short(wanted.Digest))})
		}
	}
	return moves
}

func removed(file File, members []Member, now time.Time) []Move {
	var moves []Move
	for _, m := range members {
		if m.Dead || m.Leaving {
			continue
		}
		if now.Sub(file.Since) < RemoveGrace {
			return []Move{{Kind: MoveWait}}
		}
		moves = append(moves, Move{Kind: MoveDrain, Number: m.Number, Reason: "its file was removed from plugin_dir"})
	}
	return moves
}

// Current is the generation that takes new tasks: the newest that is usable, healthy ones first; 0 = none.
func Current(members []Member) uint64 {
	var best, healthy uint64
	for _, m := range members {
		if !m.Usable || m.Leaving || m.Dead {
			continue
		}
		best = m.Number
		if m.Healthy {
			healthy = m.Number
		}
	}
	if healthy != 0 {
		return healthy
	}
	return best
}

func anyAlive(members []Member) bool {
	for _, m := range members {
		if !m.Dead {
			return true
		}
	}
	return false
}

func short(digest string) string { return digest[:min(len(digest), 12)] }
