package taskfiles

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/core/node/taskfiles/protocol"
)

func fetched(t *testing.T, make func(out string)) (root string) {
	t.Helper()
	root = t.TempDir()
	out := filepath.Join(root, ".fetch", protocol.FetchedDir)
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	make(out)
	return root
}

func put(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

var me = Owner{os.Getuid(), os.Getgid()}

// Files come to lie among those that are there; bits that give rights are gone.
func TestInstallMerges(t *testing.T) {
	root := fetched(t, func(out string) {
		put(t, filepath.Join(out, "bin", "app"), "new", 0o755|os.ModeSetuid)
		put(t, filepath.Join(out, "bin", "more"), "more", 0o600)
		if err := os.Symlink("app", filepath.Join(out, "bin", "link")); err != nil {
			t.Fatal(err)
		}
	})
	put(t, filepath.Join(root, "sub", "bin", "app"), "old", 0o644)
	put(t, filepath.Join(root, "sub", "keep"), "keep", 0o644)
	if err := Install(open(t, root), ".fetch", "sub", false, me, protocol.Limits{Files: 10, Size: 100}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"bin/app": "new", "bin/more": "more", "bin/link": "new", "keep": "keep"} {
		if b, err := os.ReadFile(filepath.Join(root, "sub", file)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", file, b, err)
		}
	}
	if st, err := os.Stat(filepath.Join(root, "sub", "bin", "app")); err != nil || st.Mode() != 0o755 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

// What may not be there is refused as a whole.
func TestInstallRefuses(t *testing.T) {
	link := func(target string) func(t *testing.T, out string) {
		return func(t *testing.T, out string) {
			if err := os.Symlink(target, filepath.Join(out, "link")); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		make   func(t *testing.T, out string)
		dest   string
		limits protocol.Limits
		want   string
	}{
		"absolute link": {link("/etc/passwd"), "x", protocol.Limits{}, "leads out"},
		"climbing link": {link("../x"), "x", protocol.Limits{}, "leads out"},
		"files":         {func(t *testing.T, out string) { put(t, out+"/a", "", 0o644); put(t, out+"/b", "", 0o644) }, "x", protocol.Limits{Files: 1}, "more than 1 files"},
		"size":          {func(t *testing.T, out string) { put(t, out+"/a", "12345", 0o644) }, "x", protocol.Limits{Size: 4}, "more than 4 bytes"},
		"destination":   {func(t *testing.T, out string) { put(t, out+"/a", "1", 0o644) }, "out-link/x", protocol.Limits{}, "destination"},
		"in the way":    {func(t *testing.T, out string) { put(t, out+"/taken/b", "1", 0o644) }, ".", protocol.Limits{}, "in the way"},
	} {
		t.Run(name, func(t *testing.T) {
			outside := t.TempDir()
			root := fetched(t, func(out string) { c.make(t, out) })
			if err := os.Symlink(outside, filepath.Join(root, "out-link")); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(root, "taken"), "", 0o644)
			err := Install(open(t, root), ".fetch", c.dest, false, me, c.limits)
			if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, ErrPermanent) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
				t.Errorf("written outside: %v, %v", entries, err)
			}
		})
	}
}
