package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/core/membership"
)

func members(texts ...string) []membership.Member { // "id region status"
	var out []membership.Member
	for _, t := range texts {
		f := strings.Fields(t)
		out = append(out, membership.Member{ID: f[0], Region: f[1], Status: membership.Status(f[2]), RPCAddr: f[0] + ":4647"})
	}
	return out
}

// A server that came back with only its memory of the others, which have new addresses, asks those of its configuration.
func TestCompany(t *testing.T) {
	for name, c := range map[string]struct {
		members []membership.Member
		want    int
	}{
		"alone":                   {members("a us alive"), 0},
		"others are remembered":   {members("a us alive", "b us failed", "c us left", "d eu leaving"), 0},
		"one is there":            {members("a us alive", "b us failed", "c us alive"), 1},
		"one of another region":   {members("a us alive", "d eu alive"), 1},
		"this one is not yet met": {members("b us alive"), 1},
	} {
		if got := company("a", c.members); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestReachable(t *testing.T) {
	known := members("a us alive", "b eu alive", "c eu failed", "d eu alive", "e asia failed", "f mars left")
	if got := regionsOf("us", known); !slices.Equal(got, []string{"us", "asia", "eu"}) {
		t.Errorf("regions: %v", got)
	}
	for region, want := range map[string]string{
		"eu":    "b:4647 d:4647",
		"asia":  `No path to region "asia": none of its 1 servers can be reached`,
		"mars":  `No path to region "mars": the regions known here are us, asia, eu;`,
		"venus": `No path to region "venus": the regions known here are us, asia, eu;`,
	} {
		got, err := reachable("us", region, known)
		text := strings.Join(got, " ")
		if err != nil {
			text = err.Error()
		}
		if !strings.HasPrefix(text, want) {
			t.Errorf("%s: %s, want %s", region, text, want)
		}
	}
}
