package allocdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestBuildAndDestroy(t *testing.T) {
	base := t.TempDir()
	d := New(base, "a1")
	for range 2 { // the second time changes nothing
		if err := d.Build(); err != nil {
			t.Fatal(err)
		}
		if err := d.BuildTask("web", 2); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { d.Destroy() })
	for path, mode := range map[string]fs.FileMode{
		"":            0o755,
		"alloc":       0o777,
		"alloc/data":  0o777,
		"alloc/logs":  0o777,
		"alloc/tmp":   0o777,
		"web":         0o777,
		"web/local":   0o777,
		"web/secrets": 0o777,
		"web/private": 0o777,
		"web/tmp":     0o777 | fs.ModeSticky,
	} {
		st, err := os.Stat(filepath.Join(d.Root(), path))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := st.Mode() & (fs.ModePerm | fs.ModeSticky); got != mode {
			t.Errorf("%s: mode %v, want %v", path, got, mode)
		}
	}
	if err := d.Destroy(); err != nil {
		t.Fatal(err)
	}
	if d.Exists() {
		t.Error("still there")
	}
	if err := d.Destroy(); err != nil {
		t.Errorf("destroying nothing: %v", err)
	}
}

func TestTakeFrom(t *testing.T) {
	base := t.TempDir()
	old, next := New(base, "old"), New(base, "new")
	for _, d := range []Dir{old, next} {
		if err := d.Build(); err != nil {
			t.Fatal(err)
		}
		if err := d.BuildTask("web", 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Destroy() })
	}
	os.WriteFile(filepath.Join(old.Shared(), "data", "f"), []byte("shared"), 0o644)
	os.WriteFile(filepath.Join(old.Local("web"), "g"), []byte("local"), 0o644)
	if err := next.TakeFrom(old, []string{"web", "other"}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"alloc/data/f": "shared", "web/local/g": "local"} {
		if b, err := os.ReadFile(filepath.Join(next.Root(), path)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
}

// A task can put a link in the place of its directory; what comes after it must not inherit the link.
func TestTakeFromFollowsNoLinks(t *testing.T) {
	base, host := t.TempDir(), t.TempDir()
	for name, replaced := range map[string]func(Dir) string{
		"data":  func(d Dir) string { return filepath.Join(d.Shared(), "data") },
		"local": func(d Dir) string { return d.Local("web") },
	} {
		old, next := New(base, "old-"+name), New(base, "new-"+name)
		for _, d := range []Dir{old, next} {
			t.Cleanup(func() { d.Destroy() })
			if err := errors.Join(d.Build(), d.BuildTask("web", 0)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Remove(replaced(old)), os.Symlink(host, replaced(old))); err != nil {
			t.Fatal(err)
		}
		if err := next.TakeFrom(old, []string{"web"}); err == nil {
			t.Errorf("%s: a link was taken over", name)
		}
		if st, err := os.Lstat(replaced(next)); err != nil || !st.IsDir() {
			t.Errorf("%s: %v %v", name, st, err)
		}
	}
}

func TestOpenToFollowsNoLinks(t *testing.T) {
	host := t.TempDir()
	if err := os.Chmod(host, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(host, link); err != nil {
		t.Fatal(err)
	}
	_ = openTo(link, openMode)
	if st, err := os.Stat(host); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the mode of what a link leads to is %v %v", st, err)
	}
}

func TestFileInTheWay(t *testing.T) {
	d := New(t.TempDir(), "a1")
	os.MkdirAll(d.Root(), 0o755)
	os.WriteFile(d.Shared(), nil, 0o644)
	if err := d.Build(); err == nil {
		t.Error("a file named alloc must be an error")
	}
}
