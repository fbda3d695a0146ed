package sdk_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write api.txt")

// TestAPI fails when something exported has gone or changed since api.txt was written. Additions pass, and -update
// records them; a removal is a new major version. The wire has its own: proto/wire/testdata/contract.golden.
func TestAPI(t *testing.T) {
	got := exported(t)
	if *update {
		if err := os.WriteFile("api.txt", []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("api.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range removed(want, got) {
		t.Errorf("authors may rely on this, and it is gone or changed: %s", line)
	}
	if added := removed(got, want); len(added) > 0 && !t.Failed() {
		t.Logf("%d additions are not in api.txt yet; record them with -update, such as: %s", len(added), added[0])
	}
}

// removed returns what is in old and not in now.
func removed(old, now []string) []string {
	var out []string
	for _, line := range old {
		if _, found := slices.BinarySearch(now, line); !found {
			out = append(out, line)
		}
	}
	return out
}

// TestRemovedFindsChanges: the check can fail.
func TestRemovedFindsChanges(t *testing.T) {
	old := []string{"driver: func New(a int)", "driver: type Info struct, field Name string"}
	for name, tc := range map[string]struct {
		now  []string
		want int
	}{
		"same":    {old, 0},
		"added":   {append(slices.Clone(old), "driver: type Z int"), 0},
		"removed": {old[1:], 1},
		"changed": {[]string{"driver: func New(a string)", old[1]}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := removed(old, tc.now); len(got) != tc.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

// exported lists every exported declaration of the packages that authors import, one line each, sorted. A struct's
// fields are lines of their own, so that one more is an addition. An interface is one line with all its methods: one
// more breaks those who implement it.
func exported(t *testing.T) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		switch d.Name() {
		case "internal", "testdata", "examples", "proto", "files":
			return fs.SkipDir
		}
		lines = append(lines, packageLines(t, path)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// linux is the platform whose API is recorded: of files that exclude each other, one is looked at.
func linux() *build.Context {
	c := build.Default
	c.GOOS, c.GOARCH, c.CgoEnabled, c.BuildTags = "linux", "amd64", false, nil
	return &c
}

func packageLines(t *testing.T, dir string) []string {
	fset := token.NewFileSet()
	var files []*ast.File
	paths, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, path := range paths {
		if match, err := linux().MatchFile(dir, filepath.Base(path)); err != nil || !match || strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil
	}
	pkg, err := doc.NewFromFiles(fset, files, "x/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &apiWriter{pkg: filepath.ToSlash(dir), fset: fset}
	for _, f := range pkg.Funcs {
		w.function(f.Decl)
	}
	w.values(pkg.Consts)
	w.values(pkg.Vars)
	for _, typ := range pkg.Types {
		w.values(typ.Consts)
		w.values(typ.Vars)
		for _, f := range append(typ.Funcs, typ.Methods...) {
			w.function(f.Decl)
		}
		for _, s := range typ.Decl.Specs {
			w.typeSpec(s.(*ast.TypeSpec))
		}
	}
	return w.lines
}

type apiWriter struct {
	pkg   string
	fset  *token.FileSet
	lines []string
}

func (w *apiWriter) add(format string, args ...any) {
	w.lines = append(w.lines, w.pkg+": "+fmt.Sprintf(format, args...))
}

// text prints a node on one line.
func (w *apiWriter) text(node any) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, w.fset, node); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func (w *apiWriter) function(f *ast.FuncDecl) {
	bare := *f
	bare.Doc, bare.Body = nil, nil
	w.add("%s", w.text(&bare))
}

func (w *apiWriter) values(groups []*doc.Value) {
	for _, g := range groups {
		for position, s := range g.Decl.Specs {
			v := s.(*ast.ValueSpec)
			for i, name := range v.Names {
				if !name.IsExported() {
					continue
				}
				line := g.Decl.Tok.String() + " " + name.Name
				if v.Type != nil {
					line += " " + w.text(v.Type)
				}
				if g.Decl.Tok == token.CONST && i < len(v.Values) { // constants are part of the contract by their value
					line += " = " + w.text(v.Values[i])
				} else if g.Decl.Tok == token.CONST {
					line += fmt.Sprintf(" = as above, iota %d", position)
				}
				w.add("%s", line)
			}
		}
	}
}

func (w *apiWriter) typeSpec(s *ast.TypeSpec) {
	name := s.Name.Name
	if s.TypeParams != nil {
		var params []string
		for _, p := range s.TypeParams.List {
			for _, n := range p.Names {
				params = append(params, n.Name+" "+w.text(p.Type))
			}
		}
		name += "[" + strings.Join(params, ", ") + "]"
	}
	switch typ := s.Type.(type) {
	case *ast.StructType:
		w.add("type %s struct", name)
		for _, f := range members(w, typ.Fields) {
			w.add("type %s struct, field %s", name, f)
		}
	case *ast.InterfaceType:
		methods := members(w, typ.Methods)
		slices.Sort(methods)
		w.add("type %s interface { %s }", name, strings.Join(methods, "; "))
	default:
		w.add("type %s %s", name, w.text(s.Type))
	}
}

// members are the exported fields or methods, and what is embedded.
func members(w *apiWriter, list *ast.FieldList) []string {
	var all []string
	for _, f := range list.List {
		typ := w.text(f.Type)
		for _, n := range f.Names {
			if n.IsExported() {
				all = append(all, n.Name+" "+typ)
			}
		}
		if len(f.Names) == 0 {
			all = append(all, typ)
		}
	}
	return all
}
