package tasklog

import "time"

// quotaBurst is how many seconds' worth of its rate a stream may bring at once.
const quotaBurst = 4

// quota keeps a stream to its rate.
type quota struct {
	used  float64 // bytes of the burst
	since time.Time
}

// take counts bytes that were moved and returns how long the stream must rest before the next; rate is in bytes per
// second, 0 for no limit.
func (q *quota) take(moved, rate int64, now time.Time) time.Duration {
	if rate <= 0 {
		return 0
	}
	per := float64(rate)
	if !q.since.IsZero() {
		q.used = max(0, q.used-per*max(0, now.Sub(q.since).Seconds()))
	}
	q.since = now
	q.used += float64(moved)
	over := q.used - quotaBurst*per
	if over <= 0 {
		return 0
	}
	return max(time.Duration(over/per*float64(time.Second)), 10*time.Millisecond)
}
