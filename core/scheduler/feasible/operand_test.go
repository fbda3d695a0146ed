package feasible

import (
	"testing"

	"github.com/droverhq/drover/core/model"
)

func conditionNode() *model.Node {
	return &model.Node{
		ID: "1234", Name: "alpha", Datacenter: "dc1", NodeClass: "big", NodePool: "default",
		Attributes: map[string]string{
			"kernel.name": "linux", "cpu.numcores": "12", "load": "2.5", "os.version": "12.4", "app": "1.6.0-beta1",
			"lib": "1.7.0", "sets": "a, b,c", "empty": "", "unique.hostname": "alpha.example", "word": "beta",
		},
		Meta: map[string]string{"rack": "r1", "want": "linux"},
	}
}

func TestOperands(t *testing.T) {
	cases := map[string]struct {
		left, op, right string
		want            bool
	}{
		"equal":                        {"${attr.kernel.name}", "=", "linux", true},
		"equal by default":             {"${attr.kernel.name}", "", "linux", true},
		"equal ==":                     {"${attr.kernel.name}", "==", "linux", true},
		"equal is":                     {"${attr.kernel.name}", "is", "windows", false},
		"equal missing":                {"${attr.nothing}", "=", "", false},
		"equal empty":                  {"${attr.empty}", "=", "", true},
		"literal left":                 {"linux", "=", "${attr.kernel.name}", true},
		"both sides refer":             {"${attr.kernel.name}", "=", "${meta.want}", true},
		"not equal":                    {"${attr.kernel.name}", "!=", "windows", true},
		"not equal same":               {"${attr.kernel.name}", "not", "linux", false},
		"not equal missing":            {"${attr.nothing}", "!=", "x", true},
		"not equal missing, empty":     {"${attr.nothing}", "!=", "", true},
		"node id":                      {"${node.unique.id}", "=", "1234", true},
		"node name":                    {"${node.unique.name}", "=", "alpha", true},
		"node class":                   {"${node.class}", "=", "big", true},
		"node pool":                    {"${node.pool}", "=", "default", true},
		"node datacenter":              {"${node.datacenter}", "=", "dc1", true},
		"meta":                         {"${meta.rack}", "=", "r1", true},
		"unknown reference":            {"${node.nothing}", "=", "", false},
		"unclosed reference":           {"${attr.kernel.name", "=", "linux", false},
		"less as whole numbers":        {"${attr.cpu.numcores}", "<", "100", true},
		"less as text would be true":   {"${attr.cpu.numcores}", ">", "2", true},
		"less or equal":                {"${attr.cpu.numcores}", "<=", "12", true},
		"greater or equal":             {"${attr.cpu.numcores}", ">=", "13", false},
		"fractions":                    {"${attr.load}", "<", "10", true},
		"whole number and fraction":    {"${attr.cpu.numcores}", ">", "11.5", true},
		"words":                        {"${attr.word}", ">", "alpha", true},
		"order missing":                {"${attr.nothing}", "<", "1", false},
		"regexp":                       {"${attr.kernel.name}", "regexp", "^lin", true},
		"regexp fails":                 {"${attr.kernel.name}", "regexp", "^win", false},
		"regexp broken":                {"${attr.kernel.name}", "regexp", "(", false},
		"version":                      {"${attr.lib}", "version", ">= 1.2, < 2.0", true},
		"version pessimistic":          {"${attr.lib}", "version", "~> 1.6", true},
		"version short":                {"${attr.os.version}", "version", "> 11", true},
		"version pre-release":          {"${attr.app}", "version", ">= 1.5", false},
		"version of a word":            {"${attr.word}", "version", ">= 1.5", false},
		"version broken":               {"${attr.lib}", "version", ">= x", false},
		"semver":                       {"${attr.lib}", "semver", ">= 1.2.0, < 2.0.0", true},
		"semver pre-release":           {"${attr.app}", "semver", ">= 1.5.0", true},
		"semver orders pre-release":    {"${attr.app}", "semver", ">= 1.6.0", false},
		"semver not equal":             {"${attr.lib}", "semver", "!= 1.7.0", false},
		"semver has no pessimistic":    {"${attr.lib}", "semver", "~> 1.6.0", false},
		"semver without operator":      {"${attr.lib}", "semver", "1.7.0", true},
		"set_contains":                 {"${attr.sets}", "set_contains", "c,a", true},
		"set_contains lacks one":       {"${attr.sets}", "set_contains_all", "c,d", false},
		"set_contains_any":             {"${attr.sets}", "set_contains_any", "d, b", true},
		"set_contains_any none":        {"${attr.sets}", "set_contains_any", "d,e", false},
		"set_contains missing":         {"${attr.nothing}", "set_contains", "a", false},
		"is_set":                       {"${attr.empty}", "is_set", "", true},
		"is_set missing":               {"${attr.nothing}", "is_set", "", false},
		"is_not_set":                   {"${attr.nothing}", "is_not_set", "", true},
		"is_not_set on what is set":    {"${meta.rack}", "is_not_set", "", false},
		"unknown operator never holds": {"${meta.rack}", "~", "r1", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := NewCondition(c.left, c.op, c.right).Holds(conditionNode()); got != c.want {
				t.Errorf("%s %s %s: %v", c.left, c.op, c.right, got)
			}
		})
	}
}

func TestUniqueTargetsEscapeTheClass(t *testing.T) {
	for text, want := range map[string]bool{
		"${node.unique.id}": true, "${node.unique.name}": true, "${attr.unique.hostname}": true, "${meta.unique.x}": true,
		"${attr.kernel.name}": false, "${meta.rack}": false, "${node.class}": false, "unique.x": false,
	} {
		if ParseTarget(text).Unique() != want {
			t.Errorf("%s: unique is not %v", text, want)
		}
	}
}

func TestDatacenterGlobs(t *testing.T) {
	for name, c := range map[string]struct {
		globs []string
		dc    string
		want  bool
	}{
		"all":            {[]string{"*"}, "dc1", true},
		"exact":          {[]string{"dc1"}, "dc1", true},
		"other":          {[]string{"dc1"}, "dc12", false},
		"prefix":         {[]string{"eu-*"}, "eu-west", true},
		"suffix":         {[]string{"*-1"}, "dc-1", true},
		"middle":         {[]string{"a*c*e"}, "abcde", true},
		"middle missing": {[]string{"a*x*e"}, "abcde", false},
		"second of two":  {[]string{"x", "d*"}, "dc1", true},
		"overlap":        {[]string{"aa*aa"}, "aaa", false},
	} {
		if got := MatchesDatacenter(&model.Job{Datacenters: c.globs}, c.dc); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
