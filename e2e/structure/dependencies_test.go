package structure

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dependencyRow is a row of docs/dependencies.md: | `path` | modules | what for |.
var dependencyRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\|$")

// Every module that our packages import, or that a module outside go.work requires, has its line in
// docs/dependencies.md, with the modules of ours that use it, and no line is left over.
func TestEveryDependencyHasALine(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for _, m := range dependencyRow.FindAllStringSubmatch(string(page), -1) {
		lines[m[1]] = strings.TrimSpace(m[2])
	}
	used := map[string][]string{}
	for module := range mayImport {
		for _, path := range imported(t, module) {
			used[path] = append(used[path], module)
		}
	}
	for _, module := range []string{"e2e", "e2e/thirdparty"} {
		for _, path := range required(t, module) {
			used[path] = append(used[path], module)
		}
	}
	if len(used) < 20 {
		t.Fatalf("only %d dependencies found: the test sees nothing", len(used))
	}
	for path, modules := range used {
		slices.Sort(modules)
		want := strings.Join(modules, ", ")
		switch got, ok := lines[path]; {
		case !ok:
			t.Errorf("docs/dependencies.md has no line for %s, used by %s", path, want)
		case got != want:
			t.Errorf("docs/dependencies.md: %s is used by %s, not by %s", path, want, got)
		}
		delete(lines, path)
	}
	for path := range lines {
		t.Errorf("docs/dependencies.md has a line for %s, which nothing uses", path)
	}
}

// imported are the modules of others whose packages a module of ours imports itself, on Linux and on Windows, tests
// included.
func imported(t *testing.T, module string) []string {
	t.Helper()
	paths := importedOn(t, module, "linux")
	for _, path := range importedOn(t, module, "windows") {
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

func importedOn(t *testing.T, module, system string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-test", "-json=ImportPath,Module,Imports", "./...")
	cmd.Dir = filepath.Join(root(t), module)
	cmd.Env = append(os.Environ(), "GOWORK=", "GOOS="+system)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list in %s: %v", module, err)
	}
	moduleOf, direct := map[string]string{}, map[string]bool{}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for dec.More() {
		var p struct {
			ImportPath string
			Module     *struct{ Path string }
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.Module == nil {
			continue
		}
		moduleOf[p.ImportPath] = p.Module.Path
		if p.Module.Path == ours+module {
			for _, i := range p.Imports {
				direct[i] = true
			}
		}
	}
	var paths []string
	for i := range direct {
		if m := moduleOf[i]; m != "" && !strings.HasPrefix(m, ours) && !slices.Contains(paths, m) {
			paths = append(paths, m)
		}
	}
	return paths
}

// required are the direct requirements of a module outside go.work.
func required(t *testing.T, module string) []string {
	t.Helper()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = filepath.Join(root(t), module)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit in %s: %v", module, err)
	}
	var f struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &f); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, r := range f.Require {
		if !r.Indirect && !strings.HasPrefix(r.Path, ours) {
			paths = append(paths, r.Path)
		}
	}
	return paths
}
