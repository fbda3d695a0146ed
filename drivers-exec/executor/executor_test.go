package executor

import (
	"reflect"
	"strings"
	"testing"
)

func TestEnviron(t *testing.T) {
	env := map[string]string{"B": "2", "A": "1", "AWS_KEY": "x", "AWS_ID": "y"}
	for name, c := range map[string]struct {
		denied []string
		want   []string
		fail   bool
	}{
		"all":     {nil, []string{"A=1", "AWS_ID=y", "AWS_KEY=x", "B=2"}, false},
		"pattern": {[]string{"AWS_*"}, []string{"A=1", "B=2"}, false},
		"exact":   {[]string{"A"}, []string{"AWS_ID=y", "AWS_KEY=x", "B=2"}, false},
		"bad":     {[]string{"[a"}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Environ(env, c.denied...)
			if (err != nil) != c.fail || !reflect.DeepEqual(got, c.want) {
				t.Fatalf("got %v %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestParseIDRanges(t *testing.T) {
	for text, want := range map[string][]IDRange{
		"":                 nil,
		"5":                {{5, 5}},
		"0-10, 1000":       {{0, 10}, {1000, 1000}},
		"0-4294967295,7 ,": {{0, 4294967295}, {7, 7}},
	} {
		if got, err := ParseIDRanges(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %v %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "5-3", "-1", "1-2-3", "4294967296"} {
		if got, err := ParseIDRanges(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestGroupName(t *testing.T) {
	for id, want := range map[string]string{
		"3f2c/web/00ff00ff":      "3f2c.web.00ff00ff",
		"a b/c":                  "a_b.c",
		"../../x":                "task-",
		"":                       "task-",
		strings.Repeat("x", 300): "task-",
	} {
		if got := GroupName(id); got != want && !(want == "task-" && strings.HasPrefix(got, want)) || strings.Contains(got, "/") {
			t.Errorf("%q is %q, want %q", id, got, want)
		}
	}
}

func TestParseSignal(t *testing.T) {
	for _, name := range []string{"SIGINT", "int", " Int "} {
		if got, err := ParseSignal(name); err != nil || got != 2 {
			t.Errorf("%q is %d %v", name, got, err)
		}
	}
	for _, name := range []string{"", "SIGNONE", "RECYCLE"} {
		if got, err := ParseSignal(name); err == nil {
			t.Errorf("%q is %d", name, got)
		}
	}
}

func TestKeeperDir(t *testing.T) {
	t.Setenv(RunDirVariable, "")
	a, b := KeeperDir("exec", "/var/a/alloc/1"), KeeperDir("exec", "/var/a/alloc/2")
	if a != b {
		t.Errorf("two allocations of a node have keepers in %s and %s", a, b)
	}
	if c := KeeperDir("exec", "/var/b/alloc/1"); c == a {
		t.Errorf("two nodes share %s", c)
	}
	t.Setenv(RunDirVariable, "/r")
	if got := KeeperDir("exec", "/var/a/alloc/1"); got != "/r/exec" && got != `\r\exec` {
		t.Errorf("got %s", got)
	}
}
