package jobspec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReference keeps docs/guide/job-reference.md in step with the grammar:
// go test ./core/jobspec -run TestReference -update.
func TestReference(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "guide", "job-reference.md")
	want := reference()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale; refresh it with -update", path)
	}
}

const referenceHead = `# Job file reference

Generated from the grammar table in core/jobspec; ` + "`go test ./core/jobspec -run TestReference -update`" + ` writes it anew.

The parser accepts everything below. A job that sets something whose column "acted on" says **no** is refused at submit, by
name; ` + "`only \"x\"`" + ` means that every other value is refused. Defaults marked with job types differ by type; "made" after a
block's name means that it exists with its defaults even when it is not written, for the types given. Durations are text such
as ` + "`\"30s\"`" + `. How files are written at all (variables, functions, dynamic blocks) is in [job files](job-files.md).
`

func reference() string {
	r := &referencer{shown: map[string]string{}}
	r.b.WriteString(referenceHead)
	r.block(grammar(), "job")
	return r.b.String()
}

type referencer struct {
	b     strings.Builder
	shown map[string]string // a block's table -> the path under which it was shown
}

// block writes one block's table and then those of the blocks in it. A table that was shown already is referred to.
func (r *referencer) block(b *Block, path string) {
	table := r.table(b)
	if before, ok := r.shown[table]; ok && before != path {
		fmt.Fprintf(&r.b, "\n## %s\n\nAs in [%s](#%s).\n", path, before, anchorOf(before))
		return
	}
	r.shown[table] = path
	fmt.Fprintf(&r.b, "\n## %s\n\n", path)
	if len(b.Fields) == 0 {
		r.b.WriteString("An empty block.\n")
		return
	}
	r.b.WriteString(table)
	for i := range b.Fields {
		f := &b.Fields[i]
		if f.HCL == "" || !f.Kind.isBlock() || actedText(f) == "**no**" {
			continue // what is refused as a whole has no inner life yet
		}
		if path == "job" && f.HCL == "task" {
			continue // shown under the group
		}
		r.block(f.Of, path+" "+f.HCL)
	}
}

func (r *referencer) table(b *Block) string {
	var t strings.Builder
	t.WriteString("| name | type | default | acted on | meaning |\n|---|---|---|---|---|\n")
	for i := range b.Fields {
		f := &b.Fields[i]
		if f.HCL == "" {
			continue
		}
		name := "`" + f.HCL + "`"
		if f.Label != "" {
			name = "`" + f.HCL + " \"" + strings.ToLower(f.Label) + "\"`"
		}
		if f.Required {
			name += ", required"
		}
		if len(f.Present) > 0 {
			name += ", made: " + strings.Join(f.Present, ", ")
		}
		fmt.Fprintf(&t, "| %s | %s | %s | %s | %s |\n", name, kindText(f), defaultOf(f), actedText(f), strings.ReplaceAll(f.Doc, "|", "\\|"))
	}
	return t.String()
}

func kindText(f *Field) string {
	switch f.Kind {
	case One:
		return "block"
	case Many, Keyed:
		return "blocks"
	case StringMap, ListMap, Free, Config:
		return "block or object"
	}
	text := strings.TrimPrefix(f.Kind.String(), "a ")
	if f.Lo != 0 || f.Hi != 0 {
		if f.Hi == 1<<31 {
			return fmt.Sprintf("%s from %d", text, f.Lo)
		}
		return fmt.Sprintf("%s, %d to %d", text, f.Lo, f.Hi)
	}
	return text
}

// folded names the block of a task that a block written further out is copied into; that one decides whether it is acted
// on.
func folded(f *Field) string {
	if f.JSON != "" || f.HCL != "vault" && f.HCL != "secret" {
		return ""
	}
	return f.HCL
}

func actedText(f *Field) string {
	acted := f.Acted
	if name := folded(f); name != "" {
		acted = taskBlock().hclField(name).Acted
	}
	switch {
	case !acted:
		return "**no**"
	case f.ActedValues != nil:
		return "only `\"" + strings.Join(f.ActedValues, "\"`, `\"") + "\"`"
	}
	return "yes"
}

func defaultOf(f *Field) string {
	types, ok := f.Default.(byType)
	if !ok {
		return valueText(f, f.Default)
	}
	var parts []string
	for _, jobType := range allTypes {
		if v, ok := types[jobType]; ok {
			parts = append(parts, jobType+" "+valueText(f, v))
		}
	}
	return strings.Join(parts, ", ")
}

func valueText(f *Field, v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case int64:
		if f.Kind == Duration {
			s := strings.TrimSuffix(time.Duration(x).String(), "0s")
			if strings.HasSuffix(s, "h0m") {
				s = strings.TrimSuffix(s, "0m")
			}
			if s == time.Duration(x).String() || !strings.ContainsAny(s, "hm") {
				s = time.Duration(x).String()
			}
			return "`\"" + s + "\"`"
		}
		return fmt.Sprintf("`%d`", x)
	case string:
		return fmt.Sprintf("`%q`", x)
	case []any:
		var parts []string
		for _, e := range x {
			parts = append(parts, fmt.Sprintf("%q", e))
		}
		return "`[" + strings.Join(parts, ", ") + "]`"
	}
	return fmt.Sprintf("`%v`", v)
}

func anchorOf(path string) string { return strings.ReplaceAll(path, " ", "-") }
