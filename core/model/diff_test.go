package model_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/droverhq/drover/core/jobspec"
	"github.com/droverhq/drover/core/model"
)

var update = flag.Bool("update", false, "write the golden parts anew")

// TestDiff compares pairs of job files in testdata/diff. Each archive holds old.hcl and new.hcl (either may be missing),
// and diff, what DiffJobs says of them, followed by what TasksUpdated says of each group.
func TestDiff(t *testing.T) {
	files, _ := filepath.Glob("testdata/diff/*.txtar")
	if len(files) == 0 {
		t.Fatal("no test files")
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			old, new := jobIn(t, ar, "old.hcl"), jobIn(t, ar, "new.hcl")
			got := render(model.DiffJobs(old, new, strings.Contains(string(ar.Comment), "contextual")))
			got += fmt.Sprintf("changed: %v\n", model.SpecChanged(old, new))
			if old != nil && new != nil {
				for _, g := range new.TaskGroups {
					got += fmt.Sprintf("new instances of %s: %v\n", g.Name, model.TasksUpdated(old, new, g.Name))
				}
			}
			if *update {
				put(ar, "diff", got)
				if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := part(ar, "diff"); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func jobIn(t *testing.T, ar *txtar.Archive, name string) *model.Job {
	t.Helper()
	src := part(ar, name)
	if src == "" {
		return nil
	}
	f, err := jobspec.Parse(jobspec.ParseConfig{Filename: name, Source: []byte(src)})
	if err != nil {
		t.Fatal(err)
	}
	return f.Job
}

func part(ar *txtar.Archive, name string) string {
	for _, f := range ar.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func put(ar *txtar.Archive, name, text string) {
	for i, f := range ar.Files {
		if f.Name == name {
			ar.Files[i].Data = []byte(text)
			return
		}
	}
	ar.Files = append(ar.Files, txtar.File{Name: name, Data: []byte(text)})
}

// render writes a diff as people like to read it.
func render(d *model.JobDiff) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s job %q\n", d.Type, d.ID)
	lines(&b, "  ", d.Fields, d.Objects)
	for _, g := range d.TaskGroups {
		fmt.Fprintf(&b, "  %s group %q\n", g.Type, g.Name)
		lines(&b, "    ", g.Fields, g.Objects)
		for _, t := range g.Tasks {
			fmt.Fprintf(&b, "    %s task %q\n", t.Type, t.Name)
			lines(&b, "      ", t.Fields, t.Objects)
		}
	}
	return b.String()
}

func lines(b *strings.Builder, indent string, fields []*model.FieldDiff, objects []*model.ObjectDiff) {
	for _, f := range fields {
		fmt.Fprintf(b, "%s%s %s: %q => %q\n", indent, f.Type, f.Name, f.Old, f.New)
	}
	for _, o := range objects {
		fmt.Fprintf(b, "%s%s %s\n", indent, o.Type, o.Name)
		lines(b, indent+"  ", o.Fields, o.Objects)
	}
}
