package cli

import (
	"fmt"
	"strings"
	"testing"
)

func TestPlanSaysWhere(t *testing.T) {
	on := map[string]int{"one": 1, "two": 2}
	for i := range 10 {
		on[fmt.Sprintf("node-%d", i)] = 1
	}
	p := &planResponse{Placements: map[string]map[string]int{"web": {"b": 1, "a": 3}, "db": on}}
	var out strings.Builder
	p.placements(&out, false)
	const want = `- Task Group "db" would be placed on: two (2), node-0 (1), node-1 (1), node-2 (1), node-3 (1), node-4 (1), node-5 (1), node-6 (1), 4 more (-verbose lists all)
- Task Group "web" would be placed on: a (3), b (1)
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
