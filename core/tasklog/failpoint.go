package tasklog

import (
	"strconv"
	"strings"
)

// failpoint is called by the collector at the named places where its death must do no harm; nil in production.
type failpoint func(place string)

const (
	placeTaken      = "taken"    // bytes were looked at or are about to be moved, nothing is written
	placeMoved      = "moved"    // bytes were moved, nothing is noted
	placeRotated    = "rotated"  // the new file exists, the oldest is not yet removed
	placeIntent     = "intent"   // an append is announced in the journal, nothing is written
	placeAppended   = "appended" // an append is written, the journal does not say so yet
	placeDrained    = "drained"  // a closing stream is empty, its FIFO still exists
	placeRemoved    = "removed"  // a closed stream's FIFO is gone, its record still exists
	failpointEnv    = "DROVER_TASKLOG_FAILPOINT"
	failpointSyntax = "place:count[,place:count...]"
)

func (f failpoint) hit(place string) {
	if f != nil {
		f(place)
	}
}

// parseFailpoint reads failpointSyntax and returns a failpoint that calls die when a place is reached for the count-th
// time. Empty or malformed text gives nil.
func parseFailpoint(text string, die func()) failpoint {
	left := map[string]int{}
	for item := range strings.SplitSeq(text, ",") {
		place, count, _ := strings.Cut(item, ":")
		if n, err := strconv.Atoi(count); err == nil && n > 0 {
			left[place] = n
		}
	}
	if len(left) == 0 {
		return nil
	}
	return func(place string) {
		left[place]--
		if left[place] == 0 {
			die()
		}
	}
}
