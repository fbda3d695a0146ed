package launch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Another task may put a link where a directory was a moment ago: after the root was composed, and at any part of the path.
func TestLinksOfOthersAreNotMounted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	host := t.TempDir()
	if err := os.Mkdir(filepath.Join(host, "local"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		linked string // below the allocation's directory; empty is none
		want   string
	}{
		"nothing changed": {"", ""},
		"last part":       {"web/local", "too many levels of symbolic links"},
		"part before":     {"web", "too many levels of symbolic links"},
	} {
		t.Run(name, func(t *testing.T) {
			alloc := t.TempDir()
			local := filepath.Join(alloc, "web", "local")
			if err := os.MkdirAll(local, 0o755); err != nil {
				t.Fatal(err)
			}
			spec := &Spec{Path: "/bin/true", Args: []string{"true"}, Namespaces: Namespaces{Mount: true}, Root: &Root{On: alloc}}
			for _, dir := range []string{"/bin", "/usr", "/lib", "/lib64"} {
				if _, err := os.Stat(dir); err == nil {
					spec.Root.Entries = append(spec.Root.Entries, Entry{Kind: Bind, Source: dir, Target: dir, ReadOnly: true})
				}
			}
			spec.Root.Entries = append(spec.Root.Entries, Entry{Kind: Bind, Source: local, Beneath: alloc, Target: "/local"})
			if c.linked != "" {
				at := filepath.Join(alloc, c.linked)
				if err := os.RemoveAll(at); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(host, at); err != nil {
					t.Fatal(err)
				}
			}
			err := runs(t, spec)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("%v, want %q", err, c.want)
			}
		})
	}
}

// runs starts a process, waits for its end and returns what its launch said.
func runs(t *testing.T, s *Spec) error {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(null.Fd())
	child, err := Fork(s, Files{Stdio: [3]int{fd, fd, fd}, Enter: -1})
	if err != nil {
		return err
	}
	defer unix.Close(child.PIDFD)
	err = child.Running()
	var status unix.WaitStatus
	if _, failed := unix.Wait4(child.PID, &status, 0, nil); failed != nil || err == nil && status.ExitStatus() != 0 {
		t.Errorf("process %d: status %v %v", child.PID, status, failed)
	}
	return err
}
