//go:build unix

package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func accept(string) error { return nil }

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
	src := source(t, "#!binary")
	digest, path, err := s.Put(src, "x", nil, accept)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte("#!binary"))); digest != want {
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
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o711 {
			t.Errorf("%s: mode %v, error %v", d, info.Mode(), err)
		}
	}
	// The same again keeps the file that may be running.
	if _, _, err := s.Put(src, "x", nil, accept); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(path); err != nil || !os.SameFile(first, again) {
		t.Error("an intact copy was replaced")
	}
	// A copy that somebody changed is not used.
	if err := os.WriteFile(path, []byte("#!evil!!"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(digest, "x"); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("verify: %v", err)
	}
	if _, _, err := s.Put(src, "x", nil, accept); err != nil {
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
		if _, _, err := s.Put(source(t, "#!binary"), name, nil, accept); err == nil {
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
	old, _, err := s.Put(source(t, "#!old"), "x", nil, accept)
	if err != nil {
		t.Fatal(err)
	}
	used, _, err := s.Put(source(t, "#!used"), "x", nil, accept)
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

func TestPutAsksFirst(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	refusal := errors.New("not this one")
	if _, _, err := s.Put(source(t, "#!x"), "x", nil, func(string) error { return refusal }); !errors.Is(err, refusal) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("copied all the same: %v", left)
	}
	// Swapped between the check and the copy.
	src := source(t, "#!checked")
	_, _, err = s.Put(src, "x", nil, func(string) error { return os.WriteFile(src.Name(), []byte("#!swapped"), 0o600) })
	if err == nil || !strings.Contains(err.Error(), "changed while it was copied") {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("copied all the same: %v", left)
	}
}

func TestSignatureStaysWithItsBinary(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	src := source(t, "#!x")
	for _, signature := range [][]byte{nil, []byte("first"), []byte("second"), nil} {
		digest, _, err := s.Put(src, "x", signature, accept)
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := s.Signature(digest, "x"); err != nil || signature != nil && string(kept) != string(signature) {
			t.Errorf("%q, %v; want %q", kept, err, signature)
		}
	}
}

func TestWhatIsNotTheAgentsOwn(t *testing.T) {
	tests := map[string]struct {
		spoil func(t *testing.T, path string)
		want  string
	}{
		"changed":     {func(t *testing.T, p string) { must(t, os.WriteFile(p, []byte("#!evil"), 0o755)) }, "was changed"},
		"a link":      {func(t *testing.T, p string) { must(t, os.Rename(p, p+"2")); must(t, os.Symlink(p+"2", p)) }, ""},
		"open":        {func(t *testing.T, p string) { must(t, os.Chmod(p, 0o777)) }, "written by everybody"},
		"open folder": {func(t *testing.T, p string) { must(t, os.Chmod(filepath.Dir(p), 0o777)) }, "written by everybody"},
		"open store":  {func(t *testing.T, p string) { must(t, os.Chmod(filepath.Dir(filepath.Dir(p)), 0o777)) }, "written by everybody"},
		"foreign":     {func(t *testing.T, p string) { foreign(t, p) }, "belongs to user 12345"},
		"gone":        {func(t *testing.T, p string) { must(t, os.Remove(p)) }, "no such file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := Open(filepath.Join(t.TempDir(), "store"))
			if err != nil {
				t.Fatal(err)
			}
			digest, path, err := s.Put(source(t, "#!x"), "x", nil, accept)
			if err != nil {
				t.Fatal(err)
			}
			must(t, s.Verify(digest, "x"))
			tt.spoil(t, path)
			if err := s.Verify(digest, "x"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestOpenRefusesWhatOthersCanChange(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "parent")
	must(t, os.Mkdir(parent, 0o755))
	must(t, os.Chmod(parent, 0o777))
	if _, err := Open(filepath.Join(parent, "store")); err == nil || !strings.Contains(err.Error(), "written by everybody") {
		t.Errorf("open parent: %v", err)
	}
	must(t, os.Chmod(parent, 0o755))
	must(t, os.Remove(filepath.Join(parent, "store")))
	must(t, os.Symlink(t.TempDir(), filepath.Join(parent, "store")))
	if _, err := Open(filepath.Join(parent, "store")); err == nil || !strings.Contains(err.Error(), "not a directory of its own") {
		t.Errorf("link: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func foreign(t *testing.T, path string) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	must(t, os.Chown(path, 12345, 0))
}
