package pluginhost

import "time"

// bucket lets a burst through and then so much per second.
type bucket struct {
	burst, perSecond float64
	left             float64
	at               time.Time
}

func newBucket(burst, perSecond float64, now time.Time) *bucket {
	return &bucket{burst: burst, perSecond: perSecond, left: burst, at: now}
}

// take reports whether there was one left.
func (b *bucket) take(now time.Time) bool {
	b.left = min(b.burst, b.left+b.perSecond*max(0, now.Sub(b.at).Seconds()))
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// wait is how long until there is one.
func (b *bucket) wait() time.Duration {
	if b.left >= 1 {
		return 0
	}
	return time.Duration((1 - b.left) / b.perSecond * float64(time.Second))
}
