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
	// PolicyHandOver: the old one releases its tasks and the new one recovers them. Both must have the hand-over extension;
	// if one has not, it is drain. Without a policy it is the same.
	PolicyHandOver Policy = "hand-over"
	// PolicyManual: a changed file waits until an operator says reload; then it is as without a policy.
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
	Dead    bool // retired, handed over, or failed for good
	Offers  bool // has the hand-over extension
	Moving  bool // takes part in a hand-over that is under way
	// Starting: it is not usable yet, or for a moment not.
	Starting bool
}

// RemoveGrace is how long a file may be missing before that counts as removal: replacing a file by remove and copy
// takes a moment.
const RemoveGrace = 3 * time.Second

// Move is what a family of generations must do now.
type Move struct {
	Kind   MoveKind
	Number uint64 // which generation; for MoveCreate the new one's number
	To     uint64 // MoveHandOver: the one that takes the tasks
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
	// MoveHandOver: the generation's tasks go to another one, by the machine HandOver.
	MoveHandOver MoveKind = "hand-over"
)

// Choose decides which generations a file should have. members are in the order of their numbers. It is called after
// every scan and every change of a member; calling it again without a change yields nothing new, except MoveWait.
func Choose(file File, members []Member, policy Policy, now time.Time) []Move {
	for _, m := range members {
		if m.Moving {
			return nil // one thing after the other
		}
	}
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
	return settle(wanted, members, policy)
}

// settle brings back the wanted generation and lets the others go once it can take over.
func settle(wanted *Member, members []Member, policy Policy) []Move {
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
		replaces := ready || wanted.Usable && !m.Healthy
		switch {
		case !replaces:
		case handsOver(policy, m, *wanted):
			if m.Usable && wanted.Usable { // while one of them is launched again there is time
				return append(moves, Move{Kind: MoveHandOver, Number: m.Number, To: wanted.Number})
			}
		default:
			moves = append(moves, Move{Kind: MoveDrain, Number: m.Number, Reason: replaced(policy, wanted)})
		}
	}
	return moves
}

func replaced(policy Policy, wanted *Member) string {
	reason := fmt.Sprintf("replaced by generation %d (%s)", wanted.Number, short(wanted.Digest))
	if policy == PolicyHandOver {
		reason += "; the tasks stay, because not both can hand over"
	}
	return reason
}

// handsOver reports whether next is to take the tasks of old, which runs or will soon run again.
func handsOver(policy Policy, old, next Member) bool {
	return policy != PolicyDrain && old.Offers && next.Offers && (old.Usable || old.Starting)
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

// Current is the generation that takes new tasks: the newest that is usable, healthy ones first; 0 = none. One that is to
// be given the tasks of another takes new ones only after that.
func Current(members []Member, policy Policy) uint64 {
	var best, healthy uint64
	for i, m := range members {
		if !m.Usable || m.Leaving || m.Dead || Waits(members, i, policy) {
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

// Waits reports whether the member with that index is to be given the tasks of an older one that has them still.
func Waits(members []Member, index int, policy Policy) bool {
	for _, old := range members[:index] {
		if !old.Dead && !old.Leaving && handsOver(policy, old, members[index]) {
			return true
		}
	}
	return false
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
