package store

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func source(t *testing.T, text string) *os.File {
	t.Helper()
	p := filepath.Join(t.TempDir(), "src")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestPut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugin-store")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	src := source(t, "binary")
	digest, path, err := s.Put(src, "x")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte("binary"))); digest != want {
		t.Errorf("digest %s, want %s", digest, want)
	}
	if path != filepath.Join(dir, digest, "x") {
		t.Errorf("path %s", path)
	}
	first, err := os.Stat(path)
	if err != nil || first.Mode().Perm() != 0o755 {
		t.Errorf("mode %v, error %v", first.Mode(), err)
	}
	for _, d := range []string{dir, filepath.Dir(path)} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v, error %v", d, info.Mode(), err)
		}
	}
	// The same again keeps the file that may be running.
	if _, _, err := s.Put(src, "x"); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(path); err != nil || !os.SameFile(first, again) {
		t.Error("an intact copy was replaced")
	}
	// A copy that somebody changed is not used.
	if err := os.WriteFile(path, []byte("evil!!"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(digest, "x"); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("verify: %v", err)
	}
	if _, _, err := s.Put(src, "x"); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(digest, "x"); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestPutRefusesNames(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../x", "a/b", ".x", ""} {
		if _, _, err := s.Put(source(t, "binary"), name); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

func TestPruneKeepsWhatIsUsed(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	old, _, err := s.Put(source(t, "old"), "x")
	if err != nil {
		t.Fatal(err)
	}
	used, _, err := s.Put(source(t, "used"), "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prune(map[string]bool{used: true}); err != nil {
		t.Fatal(err)
	}
	if s.Verify(used, "x") != nil || s.Verify(old, "x") == nil {
		t.Error("the wrong one was removed")
	}
}

func TestOpenRemovesHalves(t *testing.T) {
	dir := t.TempDir()
	half := filepath.Join(dir, ".new-123")
	if err := os.WriteFile(half, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Error("the half-written copy is still there")
	}
}
