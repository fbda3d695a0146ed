package sdk_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/droverhq/drover/sdk/templates"
)

// authorGuide is the page for authors. It is not part of the published module.
const authorGuide = "../docs/plugins/authoring.md"

var codeBlock = regexp.MustCompile("(?ms)^```go file=([a-z_]+\\.go)\n(.*?)^```$")

// TestAuthorGuide follows the guide: it writes a new driver, adds every file that the page shows, and builds and tests
// the result.
func TestAuthorGuide(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the guide's driver is for Linux")
	}
	page, err := os.ReadFile(authorGuide)
	if os.IsNotExist(err) {
		t.Skip("the guide is not here: this is the module alone")
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "p")
	if _, err := templates.Write(dir, templates.Options{Kind: "driver", Name: "greeter"}); err != nil {
		t.Fatal(err)
	}
	blocks := codeBlock.FindAllStringSubmatch(string(page), -1)
	if all := strings.Count(string(page), "```go"); len(blocks) != all || all < 4 {
		t.Fatalf("%d of %d blocks of Go name their file", len(blocks), all)
	}
	for _, b := range blocks {
		if err := os.WriteFile(filepath.Join(dir, b[1]), []byte(b[2]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("gofmt", "-l", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("not formatted: %s, %v", out, err)
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"mod", "edit", "-require=" + templates.SDK + "@v0.0.0", "-replace=" + templates.SDK + "=" + here},
		{"vet", "./..."},
		{"test", "./..."},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
