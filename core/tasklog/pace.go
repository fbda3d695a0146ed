package tasklog

import "time"

const (
	// napLength is how long the pipes are left alone while little comes through them: lines gather and are moved at once
	// instead of one by one. It delays a byte by no more than this and is far from filling a pipe of 64 KiB at napRate.
	napLength = 10 * time.Millisecond
	// napRate is in bytes per second; above it the pipes are served without pause.
	napRate = 1 << 20
	// paceWindow is how long a rate counts.
	paceWindow = 2 * napLength
)

// pace decides whether the collector may let bytes gather.
type pace struct {
	since time.Time
	moved int64
}

// nap returns how long the pipes may be left alone after a round in which so many bytes were moved.
func (p *pace) nap(now time.Time, moved int64) time.Duration {
	p.moved += moved
	took := max(now.Sub(p.since), time.Microsecond)
	busy := float64(p.moved)/took.Seconds() > napRate
	if !busy || took > paceWindow {
		p.since, p.moved = now, 0
	}
	if busy {
		return 0
	}
	return napLength
}
