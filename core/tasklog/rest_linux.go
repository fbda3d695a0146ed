package tasklog

import "time"

// wakeResting reads on where a stream has rested for long enough.
func (c *collector) wakeResting(now time.Time) {
	for h := range c.resting {
		if now.Before(h.wakeAt) {
			continue
		}
		delete(c.resting, h)
		if h.pump != nil && h.stalled.IsZero() {
			c.watch(h, true)
		}
	}
}
