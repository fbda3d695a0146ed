package server

import "testing"

// A dead server stays a member until another has its place: the group never becomes smaller than it was founded.
func TestMinQuorum(t *testing.T) {
	for _, c := range []struct {
		wanted uint
		expect int
		want   uint
	}{{0, 3, 3}, {0, 0, 0}, {5, 3, 5}, {1, 3, 1}} {
		if got := minQuorum(c.wanted, c.expect); got != c.want {
			t.Errorf("min_quorum %d, bootstrap_expect %d: %d, want %d", c.wanted, c.expect, got, c.want)
		}
	}
}
