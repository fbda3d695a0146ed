// Package structure holds the tests that keep the rooms apart: who may import whom, and that the core names no
// runtime.
package structure

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const ours = "github.com/droverhq/drover/"

// mayImport is the picture in docs/architecture.md: module -> modules of ours it may depend on, or what of a module.
var mayImport = map[string][]string{
	"sdk":            {},
	"cni":            {"sdk"},
	"core":           {"sdk"},
	"drivers-docker": {"sdk"},
	"drivers-exec":   {"sdk"},
	"drivers-iis":    {"sdk"},
	"drivers-java":   {"sdk", "drivers-exec/executor"},
	"drivers-qemu":   {"sdk", "drivers-exec/executor"},
	"plugins":        {"sdk"},
	"taskfiles":      {"core/node/taskfiles/protocol"},
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestImportRule(t *testing.T) {
	for module, allowed := range mayImport {
		t.Run(module, func(t *testing.T) {
			cmd := exec.Command("go", "list", "-deps", "-json=ImportPath", "./...")
			cmd.Dir = filepath.Join(root(t), module)
			cmd.Env = append(os.Environ(), "GOWORK=")
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("go list in %s: %v", module, err)
			}
			dec := json.NewDecoder(strings.NewReader(string(out)))
			n := 0
			for dec.More() {
				var p struct{ ImportPath string }
				if err := dec.Decode(&p); err != nil {
					t.Fatal(err)
				}
				n++
				rest, is := strings.CutPrefix(p.ImportPath, ours)
				if !is {
					continue
				}
				to, _, _ := strings.Cut(rest, "/")
				if to == module {
					continue
				}
				ok := false
				for _, a := range allowed {
					ok = ok || rest == a || strings.HasPrefix(rest, a+"/")
				}
				if !ok {
					t.Errorf("%s depends on %s: the arrow is not allowed", module, p.ImportPath)
				}
			}
			if n < 10 {
				t.Fatalf("go list named only %d packages: the test sees nothing", n)
			}
		})
	}
}

// Every module in go.work stands in the table above.
func TestEveryModuleHasARule(t *testing.T) {
	cmd := exec.Command("go", "work", "edit", "-json")
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "GOWORK=")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var w struct{ Use []struct{ DiskPath string } }
	if err := json.Unmarshal(out, &w); err != nil {
		t.Fatal(err)
	}
	for _, u := range w.Use {
		if _, ok := mayImport[filepath.Base(u.DiskPath)]; !ok {
			t.Errorf("module %s has no import rule", u.DiskPath)
		}
	}
}

// runtimes are names of drivers. "exec" is not listed because it is also the name of an action (run a command in a
// task).
var runtimes = regexp.MustCompile(`(^|[^a-z_-])(docker|raw_exec|java|qemu|iis|podman|systemd-unit)([^a-z_-]|$)`)

func TestCoreNamesNoRuntime(t *testing.T) {
	core := filepath.Join(root(t), "core")
	files := 0
	err := filepath.WalkDir(core, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files++
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, src, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			s, err := strconv.Unquote(lit.Value)
			if err == nil && runtimes.MatchString(s) {
				t.Errorf("%s: the core names a runtime: %s", fset.Position(lit.Pos()), lit.Value)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Fatalf("only %d files read: the test sees nothing", files)
	}
}
