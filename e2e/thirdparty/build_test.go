// Package thirdparty holds plugins that were built with another project's published SDK, and tests that run them in our
// agent and our plugins under that SDK's own host side. It is a module of its own: its versions are that SDK's.
package thirdparty

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// limit bounds every wait.
const limit = 30 * time.Second

// build compiles one of the plugins into a new directory that only we can write.
func build(t *testing.T, pkg, name string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), pkg)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return dir
}
