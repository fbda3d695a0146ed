package templates_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/sdk/templates"
)

// TestGeneratedPluginPasses writes each kind of plugin as an author gets it, and builds, vets and tests it outside the
// workspace. Only the place of the SDK is the test's.
func TestGeneratedPluginPasses(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the driver is for Linux")
	}
	sdk, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []templates.Options{{Kind: "driver", Name: "my_runner"}, {Kind: "device", Name: "clock", Module: "example.org/clock"}, {Kind: "network", Name: "fabric"}} {
		t.Run(o.Kind, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "p")
			names, err := templates.Write(dir, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"go.mod", "main.go", "README.md", ".gitignore", o.Kind + "_test.go"} {
				if !slices.Contains(names, want) {
					t.Errorf("there is no %s among %v", want, names)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644); err != nil {
				t.Fatal(err)
			}
			run(t, dir, "mod", "edit", "-require="+templates.SDK+"@v0.0.0", "-replace="+templates.SDK+"="+sdk)
			run(t, dir, "vet", "./...")
			run(t, dir, "test", "./...")
		})
	}
}

func run(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRefusals(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		dir  string
		o    templates.Options
		want string
	}{
		"unknown kind":     {t.TempDir(), templates.Options{Kind: "csi", Name: "x"}, `kind "csi" is unknown`},
		"bad name":         {t.TempDir(), templates.Options{Kind: "driver", Name: "../x"}, "small letters"},
		"directory in use": {full, templates.Options{Kind: "driver", Name: "x"}, "is not empty"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := templates.Write(tc.dir, tc.o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestReleaseIsRequired: a released drover writes a go.mod that needs no further command but go mod tidy.
func TestReleaseIsRequired(t *testing.T) {
	dir := t.TempDir()
	if _, err := templates.Write(dir, templates.Options{Kind: "driver", Name: "x", SDKVersion: "v1.2.3"}); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil || !strings.Contains(string(mod), "require "+templates.SDK+" v1.2.3\n") {
		t.Errorf("got %s, %v", mod, err)
	}
}
