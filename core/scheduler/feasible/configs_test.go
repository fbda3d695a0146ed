package feasible

import (
	"testing"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// refuses maps digests to the reason against them, and counts the questions.
type refuses struct {
	digests map[string]string
	asked   int
}

func (f *refuses) Refusal(_, digest string, _ *model.Task) string {
	f.asked++
	return f.digests[digest]
}

func TestConfigsAreAskedOncePerSchema(t *testing.T) {
	job, g := ruleJob()
	driver := g.Tasks[0].Driver
	var nodes []*model.Node
	for i, digest := range []string{"good", "bad", "good", "bad", "", "bad"} {
		n := ruleNode("n" + string(rune('1'+i)))
		n.Drivers[driver].SchemaDigest = digest
		if i == 5 {
			n.NodeClass = "another class, the same schema"
		}
		nodes = append(nodes, n)
	}
	s := snapshotOf(nodes...)
	r := NewRules(s.Draft(), job, g, false)
	f := &refuses{digests: map[string]string{"bad": "image: unknown key"}}
	r.CheckConfigs(f, g)
	for num, n := range s.All() {
		bad := n.Drivers[driver].SchemaDigest == "bad"
		text, exhausted := r.Reason(r.Check(num))
		if bad && text != "image: unknown key" || !bad && text != "" || exhausted {
			t.Errorf("%s: %q", n.ID, text)
		}
		if r.Suits(num) == bad {
			t.Errorf("%s suits: %v", n.ID, !bad)
		}
		if !r.Stays(num) {
			t.Errorf("%s: what runs there may not stay", n.ID)
		}
	}
	if f.asked != 2 {
		t.Errorf("asked %d times for two schemas", f.asked)
	}
	classes := map[string]bool{}
	r.Eligibility(classes)
	for _, n := range nodes {
		if got, want := classes[fleet.ComputedClass(n)], n.Drivers[driver].SchemaDigest != "bad"; got != want {
			t.Errorf("%s: its class is eligible: %v", n.ID, got)
		}
	}
}
