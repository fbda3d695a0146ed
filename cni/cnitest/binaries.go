// Package cnitest builds the reference CNI plugins for tests.
package cnitest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Binaries returns a directory with the reference plugins: that of `make build` if it is there, else they are built.
func Binaries(t testing.TB) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if built := filepath.Join(root, "bin", "cni"); exists(filepath.Join(built, "bridge")) {
		return built
	}
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "tool")
	cmd.Dir = filepath.Join(root, "cni", "plugins")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the CNI plugins: %v: %s", err, out)
	}
	return dir
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
