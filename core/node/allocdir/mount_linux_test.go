package allocdir

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// As root, secrets are in memory and vanish with Unmount; a foreign mount below the directory is never removed through.
func TestMountsAreCleared(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	base := t.TempDir()
	d := New(base, "a1")
	if err := d.Build(); err != nil {
		t.Fatal(err)
	}
	if err := d.BuildTask("web", 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Destroy() })
	secret := filepath.Join(d.Secrets("web"), "token")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(d.Secrets("web"), marker)) // tasks can do that
	if err := d.BuildTask("web", 1); err != nil {      // restored: not mounted over
		t.Fatal(err)
	}
	if _, err := os.Stat(secret); err != nil {
		t.Error("building again hid the secret")
	}

	outside := filepath.Join(base, "precious")
	os.Mkdir(outside, 0o755)
	os.WriteFile(filepath.Join(outside, "file"), nil, 0o644)
	at := filepath.Join(d.Local("web"), "with space")
	os.Mkdir(at, 0o755)
	if err := unix.Mount(outside, at, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := d.Destroy(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(outside, "file")); err != nil {
		t.Error("removed through a mount")
	}
	if points, _ := mountPointsBelow(d.Root()); len(points) > 0 {
		t.Errorf("still mounted: %v", points)
	}
}
