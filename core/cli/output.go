package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// format is how a command prints: for people, as JSON, or by a template.
type format struct {
	json     bool
	template string
}

func addFormat(c *cobra.Command) *format {
	f := &format{}
	c.Flags().BoolVar(&f.json, "json", false, "print the API's JSON")
	c.Flags().StringVar(&f.template, "t", "", "print by a Go template over the API's object")
	return f
}

// print prints v as asked; text is what people get.
func (f *format) print(w io.Writer, v any, text func(io.Writer)) error {
	switch {
	case f.json && f.template != "":
		return fmt.Errorf("-json and -t exclude each other")
	case f.json:
		return printJSON(w, v)
	case f.template != "":
		t, err := template.New("t").Funcs(template.FuncMap{
			"join": strings.Join, "upper": strings.ToUpper, "lower": strings.ToLower, "split": strings.Split,
			"toJson": func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
		}).Parse(f.template)
		if err != nil {
			return fmt.Errorf("-t: %w", err)
		}
		if err := t.Execute(w, v); err != nil {
			return fmt.Errorf("-t: %w", err)
		}
		fmt.Fprintln(w)
		return nil
	}
	text(w)
	return nil
}

func printJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(b))
	return err
}

// printable makes one line of a cell that the terminal shows as it is: names and reasons come from tasks and plugins,
// which may put line ends and escape sequences into them.
func printable(cell string) string {
	var b strings.Builder
	for _, line := range strings.FieldsFunc(cell, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		for _, r := range line {
			if !unicode.IsPrint(r) {
				q := strconv.QuoteRune(r)
				b.WriteString(q[1 : len(q)-1])
				continue
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

// table prints rows with aligned columns; the first row is the head.
func printTable(w io.Writer, rows ...[]string) {
	var width []int
	for _, r := range rows {
		for i := range r {
			r[i] = printable(r[i])
			cell := r[i]
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, r := range rows {
		var b strings.Builder
		for i, cell := range r {
			b.WriteString(cell)
			if i < len(r)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// keys prints "Name = value" lines; a pair with an empty name is left out.
func printKeys(w io.Writer, pairs ...[2]string) {
	width := 0
	for _, p := range pairs {
		width = max(width, len(p[0]))
	}
	for _, p := range pairs {
		if p[0] != "" {
			fmt.Fprintf(w, "%-*s = %s\n", width, p[0], p[1])
		}
	}
}

func section(w io.Writer, title string) { fmt.Fprintf(w, "\n%s\n", title) }

// short is the first 8 characters of an ID unless verbose.
func short(id string, verbose bool) string {
	if verbose || len(id) <= 8 {
		return id
	}
	return id[:8]
}

// ago is a time as people read it: "5m3s ago".
func ago(ns int64) string {
	if ns == 0 {
		return "<none>"
	}
	return span(time.Since(time.Unix(0, ns))) + " ago"
}

func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 24*time.Hour:
		s := d.Round(time.Minute).String()
		return strings.TrimSuffix(s, "0s")
	}
	days := int(d / (24 * time.Hour))
	return fmt.Sprintf("%dd%dh", days, int((d%(24*time.Hour))/time.Hour))
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "N/A"
	}
	return t.Local().Format(time.RFC3339)
}

func stampNS(ns int64) string {
	if ns == 0 {
		return "N/A"
	}
	return stamp(time.Unix(0, ns))
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// bytes is a size in binary units.
func byteSize(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.4g %s", f, units[i])
}
