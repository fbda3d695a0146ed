package structure

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// traps is how many the protocol's list has.
const traps = 35

var (
	testName = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	testFunc = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	tableRow = regexp.MustCompile(`(?m)^\| (.+) \| (.+?) \|$`)
)

// Every trap and every point of the checklist in docs/plugins/compatibility.md names tests, and they exist. What is not
// served says so.
func TestEveryTrapHasATest(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "plugins", "compatibility.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "## Traps and checklist")
	if !ok {
		t.Fatal("the page has no section on traps")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	exist := testFunctions(t)
	next, points := 1, 0
	for _, row := range tableRow.FindAllStringSubmatch(section, -1) {
		what, proof := row[1], row[2]
		if proof == "test" || strings.HasPrefix(proof, "---") {
			continue // a table's head
		}
		if number, _, ok := strings.Cut(what, " | "); ok {
			if number != strconv.Itoa(next) {
				t.Errorf("trap %s stands where %d should", number, next)
			}
			next++
		} else {
			points++
		}
		names := testName.FindAllStringSubmatch(proof, -1)
		if len(names) == 0 && !strings.HasPrefix(proof, "not served: ") && !strings.HasPrefix(proof, "see ") {
			t.Errorf("%s: no test, and no word why", what)
		}
		for _, name := range names {
			if !exist[name[1]] {
				t.Errorf("%s: there is no %s", what, name[1])
			}
		}
	}
	if next-1 != traps || points < 20 {
		t.Errorf("%d traps and %d points are listed, want %d and at least 20", next-1, points, traps)
	}
}

// testFunctions are the names of all tests in the repository.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(root(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			found[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
