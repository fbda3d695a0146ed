//go:build linux

// Package python_test checks the driver that is written in Python.
package python_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/droverhq/drover/sdk/conformance"
)

func TestConformance(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "drover-driver-python")
	build := exec.Command("sh", "build.sh", binary)
	build.Env = append(os.Environ(), "PYTHON="+python(t))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conformance.Run(t, conformance.Config{Path: binary})
}

// python finds an interpreter that has what the driver needs; a machine may have several.
func python(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("protoc"); err != nil {
		t.Fatal("protoc is missing (Debian: protobuf-compiler)")
	}
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err == nil && exec.Command(path, "-c", "import grpc, google.protobuf, msgpack").Run() == nil {
			return path
		}
	}
	t.Fatal("no Python has grpcio, protobuf and msgpack (Debian: python3-grpcio, python3-protobuf, python3-msgpack)")
	return ""
}
