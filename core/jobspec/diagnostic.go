package jobspec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

// Diagnostic is one mistake (or doubt) in a job file.
type Diagnostic struct {
	Warning    bool
	Message    string // one line, begins with a lower-case letter
	Path       string // block it is in, such as: group "cache" > task "redis"; empty at top level
	File       string
	Line       int    // from 1; 0 when the place is not known
	Column     int    // from 1, in characters
	Width      int    // characters to mark, at least 1
	Snippet    string // the line of the file
	Suggestion string // what was probably meant; empty when nothing is near
}

// String formats the diagnostic for a terminal: place and message, then the line with the text marked.
func (d Diagnostic) String() string {
	var b strings.Builder
	if d.File != "" && d.Line > 0 {
		fmt.Fprintf(&b, "%s:%d:%d: ", d.File, d.Line, d.Column)
	} else if d.File != "" {
		fmt.Fprintf(&b, "%s: ", d.File)
	}
	if d.Warning {
		b.WriteString("warning: ")
	}
	if d.Path != "" {
		b.WriteString(d.Path + ": ")
	}
	b.WriteString(d.Message)
	if d.Suggestion != "" {
		fmt.Fprintf(&b, "; did you mean %q?", d.Suggestion)
	}
	if d.Snippet != "" {
		mark := strings.Repeat(" ", max(d.Column-1, 0)) + strings.Repeat("^", max(d.Width, 1))
		fmt.Fprintf(&b, "\n  %4d | %s\n       | %s", d.Line, strings.ReplaceAll(d.Snippet, "\t", " "), mark)
	}
	return b.String()
}

// Diagnostics are all mistakes of a file in the order of their places. As an error it lists them all.
type Diagnostics []Diagnostic

// Error lists the errors, not the warnings.
func (ds Diagnostics) Error() string {
	var out []string
	for _, d := range ds {
		if !d.Warning {
			out = append(out, d.String())
		}
	}
	return strings.Join(out, "\n")
}

// HasErrors tells whether any entry is more than a warning.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return !d.Warning })
}

// Warnings returns the warnings as text.
func (ds Diagnostics) Warnings() []string {
	var out []string
	for _, d := range ds {
		if d.Warning {
			d.Warning = false // said by being in this list
			out = append(out, d.String())
		}
	}
	return out
}

// maxDiagnostics bounds what is collected from one file: beyond it nobody reads on.
const maxDiagnostics = 50

// collector gathers diagnostics and knows the files' text for snippets.
type collector struct {
	files map[string][]byte
	list  Diagnostics
	work  meter // of all expressions
}

// at adds an error about a range of a file.
func (c *collector) at(rng hcl.Range, where place, format string, args ...any) {
	c.add(rng, Diagnostic{Message: fmt.Sprintf(format, args...), Path: where.String()})
}

// near adds an error with a suggestion out of known names.
func (c *collector) near(rng hcl.Range, where place, name string, known []string, format string, args ...any) {
	c.add(rng, Diagnostic{Message: fmt.Sprintf(format, args...), Path: where.String(), Suggestion: nearest(name, known)})
}

func (c *collector) add(rng hcl.Range, d Diagnostic) {
	d.File, d.Line, d.Column = rng.Filename, rng.Start.Line, rng.Start.Column
	d.Snippet, d.Width = snippet(c.files[rng.Filename], rng)
	if d.Snippet == "" && rng.Start.Line <= 1 && rng.End.Byte == 0 {
		d.Line = 0
	}
	c.list = append(c.list, d)
}

// hcl adds what the HCL library found.
func (c *collector) hcl(diags hcl.Diagnostics, where place) {
	for _, d := range diags {
		if d.Summary == overWork {
			if c.work.said {
				continue
			}
			c.work.said = true
		}
		rng := hcl.Range{}
		if d.Subject != nil {
			rng = *d.Subject
		}
		if name, known, kind := missing(d); kind != "" {
			c.near(rng, where, name, known, "there is no %s %q", kind, name)
			continue
		}
		text := lowerFirst(strings.TrimSuffix(d.Summary, "."))
		if d.Detail != "" {
			text += ": " + lowerFirst(strings.TrimSuffix(strings.Join(strings.Fields(d.Detail), " "), "."))
		}
		c.add(rng, Diagnostic{Warning: d.Severity == hcl.DiagWarning, Message: text, Path: where.String()})
	}
}

// missing recognizes a finding about a variable or local that does not exist, and lists those that do.
func missing(d *hcl.Diagnostic) (name string, known []string, kind string) {
	if d.Summary != "Unsupported attribute" || d.Expression == nil || d.EvalContext == nil {
		return "", nil, ""
	}
	for _, tr := range d.Expression.Variables() {
		kind := map[string]string{"var": "variable", "local": "local"}[tr.RootName()]
		if kind == "" || len(tr) < 2 {
			continue
		}
		step, ok := tr[1].(hcl.TraverseAttr)
		if !ok {
			continue
		}
		for ctx := d.EvalContext; ctx != nil; ctx = ctx.Parent() {
			v, ok := ctx.Variables[tr.RootName()]
			if ok && v.Type().IsObjectType() && !v.Type().HasAttribute(step.Name) {
				return step.Name, slices.Sorted(maps.Keys(v.Type().AttributeTypes())), kind
			}
		}
	}
	return "", nil, ""
}

// result sorts what was gathered by place, drops doubles and bounds the number.
func (c *collector) result() Diagnostics {
	slices.SortStableFunc(c.list, func(a, b Diagnostic) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	c.list = slices.Compact(c.list)
	if n := len(c.list); n > maxDiagnostics {
		c.list = append(c.list[:maxDiagnostics:maxDiagnostics], Diagnostic{
			File:    c.list[maxDiagnostics].File,
			Message: fmt.Sprintf("%d more problems are not shown", n-maxDiagnostics),
		})
	}
	return c.list
}

// maxSnippet is the longest line shown, in characters.
const maxSnippet = 160

// snippet returns the line that rng begins on and how many of its characters to mark. A line that is too long to show
// yields nothing.
func snippet(src []byte, rng hcl.Range) (string, int) {
	if rng.Start.Byte > len(src) || rng.End.Byte > len(src) || len(src) == 0 || rng.End.Byte < rng.Start.Byte {
		return "", 1
	}
	from := rng.Start.Byte
	for from > 0 && src[from-1] != '\n' {
		from--
	}
	to := rng.Start.Byte
	for to < len(src) && src[to] != '\n' {
		to++
	}
	line := strings.TrimRight(string(src[from:to]), "\r")
	if !utf8.ValidString(line) || utf8.RuneCountInString(line) > maxSnippet || strings.TrimSpace(line) == "" {
		return "", 1
	}
	return line, utf8.RuneCount(src[rng.Start.Byte:min(rng.End.Byte, to)])
}

// nearest returns the known name that is closest to name, empty when none is close enough to be meant.
func nearest(name string, known []string) string {
	best, bestDist := "", min(3, 1+len(name)/3)+1
	for _, k := range known {
		if k == "" || k == name {
			continue
		}
		if len(name) > 2 && strings.HasPrefix(k, name) {
			return k
		}
		if d := levenshtein.Distance(strings.ToLower(name), strings.ToLower(k), nil); d < bestDist {
			best, bestDist = k, d
		}
	}
	return best
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if second, _ := utf8.DecodeRuneInString(s[n:]); unicode.IsUpper(second) {
		return s // an abbreviation
	}
	return string(unicode.ToLower(r)) + s[n:]
}

// place is where in the job something is: the enclosing blocks from the outside in.
type place []string

// in returns the place inside one more block.
func (p place) in(block string, labels ...string) place {
	for _, l := range labels {
		block += fmt.Sprintf(" %q", l)
	}
	return append(p[:len(p):len(p)], block)
}

func (p place) String() string { return strings.Join(p, " > ") }
