package allocdir

import (
	"os"
	"path/filepath"
	"testing"
)

// The node writes templates, artifacts and payloads as root: a link that a task put in the place of a directory must not
// lead it to the host.
func TestOpenBeneath(t *testing.T) {
	host := t.TempDir()
	if err := os.Mkdir(filepath.Join(host, "local"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir    string
		linked string // replaced by a link to the host's directory
		to     string
		ok     bool
	}{
		"as it was":            {"web/local", "", "", true},
		"the allocation":       {".", "", "", true},
		"last part":            {"web/local", "web/local", host, false},
		"part before":          {"web/local", "web", host, false},
		"link that stays":      {"web/local", "web/local", "../alloc", false},
		"missing":              {"web/none", "", "", false},
		"outside":              {"..", "", "", false},
		"other link is no bar": {"web/local", "web/tmp", host, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := New(t.TempDir(), "a1")
			for _, dir := range []string{"alloc", "web/local", "web/tmp"} {
				if err := os.MkdirAll(filepath.Join(d.Root(), dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if c.linked != "" {
				path := filepath.Join(d.Root(), c.linked)
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(c.to, path); err != nil {
					t.Fatal(err)
				}
			}
			root, err := OpenBeneath(d.Root(), filepath.Join(d.Root(), c.dir))
			if (err == nil) != c.ok {
				t.Fatalf("error %v, want none: %v", err, c.ok)
			}
			if root != nil {
				root.Close()
			}
		})
	}
}
