package tasklog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func testRecord(id string, maxFiles int) record {
	root := "/"
	if runtime.GOOS == "windows" {
		root = `C:\`
	}
	return record{Stream: Stream{ID: id, Dir: root + "logs", Prefix: "p", MaxFiles: maxFiles}.withDefaults()}
}

// reopen returns what a new collector would find.
func reopen(t *testing.T, dir string) (*registry, string, []error) {
	t.Helper()
	r, live, broken, err := openRegistry(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	var ids []string
	for _, rec := range live {
		ids = append(ids, fmt.Sprintf("%s:%d", rec.Stream.ID, rec.Stream.MaxFiles))
	}
	return r, strings.Join(ids, " "), broken
}

func TestRegistry(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "streams")
	r, ids, _ := reopen(t, dir)
	if ids != "" {
		t.Errorf("new registry has %q", ids)
	}
	for _, rec := range []record{testRecord("a", 1), testRecord("b", 1), testRecord("c", 1), testRecord("a", 2)} {
		if err := r.save(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(r.forget("b"), r.forget("nobody")); err != nil {
		t.Fatal(err)
	}
	if _, ids, broken := reopen(t, dir); ids != "c:1 a:2" || broken != nil {
		t.Errorf("found %q, %v", ids, broken)
	}

	// A kill during an update leaves two live lines, a kill during save half a line.
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	two, _ := encodeLine(testRecord("c", 3))
	half, _ := encodeLine(testRecord("d", 1))
	if err := os.WriteFile(path, append(append(data, two...), half[:len(half)-3]...), 0o600); err != nil {
		t.Fatal(err)
	}
	r, ids, broken := reopen(t, dir)
	if ids != "c:3 a:2" || broken != nil {
		t.Errorf("after kills: %q, %v", ids, broken)
	}
	if err := r.save(testRecord("e", 1)); err != nil {
		t.Fatal(err)
	}

	// Garbage costs its own line only.
	data, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte("?\n+{}\n\n"), data...), 0o600); err != nil {
		t.Fatal(err)
	}
	r, ids, broken = reopen(t, dir)
	if ids != "c:3 a:2 e:1" || len(broken) != 2 {
		t.Errorf("with garbage: %q, %v", ids, broken)
	}
	if err := errors.Join(r.forget("c"), r.forget("a"), r.forget("e")); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Size() != 0 {
		t.Errorf("empty registry has %d bytes, %v", st.Size(), err)
	}
}

func TestRegistryStaysSmall(t *testing.T) {
	dir := t.TempDir()
	r, _, _ := reopen(t, dir)
	if err := r.save(testRecord("stays", 1)); err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		if err := errors.Join(r.save(testRecord("goes", i+1)), r.save(testRecord("goes", i+2)), r.forget("goes")); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := os.Stat(r.path); err != nil || st.Size() > 2*compactFrom {
		t.Errorf("registry of one stream has %d bytes, %v", st.Size(), err)
	}
	if _, ids, broken := reopen(t, dir); ids != "stays:1" || broken != nil {
		t.Errorf("found %q, %v", ids, broken)
	}
}
