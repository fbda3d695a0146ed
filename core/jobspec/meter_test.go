package jobspec

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// job wraps locals and an expression into a job file.
func meteredJob(locals, expr string) string {
	return "locals {\n" + locals + "\n}\njob \"x\" {\n  meta {\n    a = " + expr + "\n  }\n  group \"g\" {\n    task \"t\" {\n      driver = \"d\"\n    }\n  }\n}\n"
}

// doubling declares l0..l40, each made of the one before twice.
func doubling(first, next string) string {
	lines := []string{"l0 = " + first}
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("l%d = %s", i+1, strings.ReplaceAll(next, "@", fmt.Sprintf("local.l%d", i))))
	}
	return strings.Join(lines, "\n")
}

func TestSmallFilesMakeNoLargeValues(t *testing.T) {
	long := fmt.Sprintf("s = %q\n", strings.Repeat("x", 100000)) + "r = range(0, 1024)\n"
	yaml := []string{"a0: &a0 [x, x]"}
	for i := range 40 {
		yaml = append(yaml, fmt.Sprintf("a%d: &a%d [*a%d, *a%d]", i+1, i+1, i, i))
	}
	tests := map[string]string{
		"text doubled":             meteredJob(doubling(`"xxxxxxxxxx"`, `"${@}${@}"`), "local.l40"),
		"tuples doubled":           meteredJob(doubling(`["x"]`, `[@, @]`), "jsonencode(local.l40)"),
		"objects doubled":          meteredJob(doubling(`{a = "x"}`, `{a = @, b = @}`), "length(local.l40)"),
		"doubled inside try":       meteredJob(doubling(`"xxxxxxxxxx"`, `try("${@}${@}", "")`), "local.l40"),
		"number that gets longer":  meteredJob(doubling("1e100", "@ * @"), "local.l40"),
		"number as text":           meteredJob("n = 1e9999999", `"x${local.n}${local.n}${local.n}${local.n}${local.n}${local.n}${local.n}${local.n}"`),
		"literal as text":          meteredJob("", `"x${1e9999999}"`),
		"loops in loops":           meteredJob(long, "length([for a in local.r : [for b in local.r : [for c in local.r : local.r]]])"),
		"loops of failures":        meteredJob(long, "length([for a in local.r : [for b in local.r : [for c in local.r : can(c.x)]]])"),
		"loops in a template":      meteredJob(long, `"%{for a in local.r}%{for b in local.r}%{for c in local.r}${local.s}%{endfor}%{endfor}%{endfor}"`),
		"splat in loops":           meteredJob(long, "length([for a in local.r : [for b in local.r : local.r[*]]])"),
		"setproduct":               meteredJob(long, "length(setproduct(local.r, local.r, local.r))"),
		"replace":                  meteredJob(long, `replace(local.s, "x", local.s)`),
		"replace nothing":          meteredJob(long, `replace(local.s, "", local.s)`),
		"replace by pattern":       meteredJob(long, `regex_replace(local.s, ".", local.s)`),
		"replace by what it found": meteredJob(long, `regex_replace(local.s, ".*", replace(local.s, "x", "$0"))`),
		"join":                     meteredJob(long, "join(local.s, [for r in local.r : \"\"])"),
		"format":                   meteredJob(long, `format(replace(local.s, "x", "%[1]s"), local.s)`),
		"formatlist":               meteredJob(long, `length(formatlist("%s%s", local.s, local.r))`),
		"indent":                   meteredJob(long, `indent(100000, replace(local.s, "x", "\n"))`),
		"bcrypt":                   meteredJob(long, `join("", [for r in local.r : bcrypt("x", 14)])`),
		"distinct":                 meteredJob(long, `length(distinct(flatten([for a in local.r : local.r])))`),
		"yaml aliases":             meteredJob("", fmt.Sprintf("length(yamldecode(%q))", strings.Join(yaml, "\n"))),
		"in a default":             "variable \"v\" {\n default = [for a in [" + strings.Repeat("1,", 3000) + "] : [for b in [" + strings.Repeat("1,", 3000) + "] : [for c in [" + strings.Repeat("1,", 3000) + "] : b]]]\n}\n" + meteredJob("", `"x"`),
	}
	for name, source := range tests {
		t.Run(name, func(t *testing.T) { refusesCheaply(t, "a.nomad.hcl", source) })
	}
	for name, expr := range map[string]string{"text": `"${@}${@}"`, "loops": `"${jsonencode([for a in [@, @] : a])}"`} {
		t.Run("JSON profile, "+name, func(t *testing.T) {
			locals := map[string]any{"l0": "xxxxxxxxxx"}
			for i := range 40 {
				locals[fmt.Sprintf("l%d", i+1)] = strings.Trim(strings.ReplaceAll(expr, "@", fmt.Sprintf("local.l%d", i)), `"`)
			}
			source, err := json.Marshal(map[string]any{"locals": locals, "job": map[string]any{"x": map[string]any{"meta": map[string]any{"a": "${local.l40}"}}}})
			if err != nil {
				t.Fatal(err)
			}
			refusesCheaply(t, "a.nomad.json", string(source))
		})
	}
}

func refusesCheaply(t *testing.T, name, source string) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	_, err := Parse(ParseConfig{Filename: name, Source: []byte(source)})
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("got %v, want a limit named", err)
		return
	}
	if n := strings.Count(err.Error(), "too much to evaluate"); n > 1 {
		t.Errorf("said %d times", n)
	}
	if made := (after.TotalAlloc - before.TotalAlloc) >> 20; made > 2000 {
		t.Errorf("made %d MB on the way (in %v)", made, took)
	}
	if took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	t.Logf("%v, %d MB: %.150s", took, (after.TotalAlloc-before.TotalAlloc)>>20, err)
}

func TestUsualSizesAreNotRefused(t *testing.T) {
	text := strings.Repeat("a line of a configuration file\n", 3000) // 93 kB
	source := fmt.Sprintf(`
locals {
  conf  = %q
  ports = { for i in range(0, 100) : "p${i}" => convert(8000 + i, number) }
}
job "x" {
  dynamic "group" {
    for_each = local.ports
    labels   = ["g-${group.key}"]
    content {
      count = 1
      task "t" {
        driver = "d"
        env {
          PORT = "${group.value}"
          CONF = "${replace(local.conf, "line", "row")}"
        }
      }
    }
  }
}
`, text)
	f, err := Parse(ParseConfig{Filename: "a.nomad.hcl", Source: []byte(source)})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(f.Job.TaskGroups); n != 100 {
		t.Errorf("%d groups, want 100", n)
	}
}
