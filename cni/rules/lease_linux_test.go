package rules

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A lease that was being written when host-local was killed names nobody, and is given back.
func TestUnwrittenLeases(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"10.0.0.2": "one\r\neth0", "10.0.0.3": "", "last_reserved_ip.0": "", "lock": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	leases, err := Leases(dir)
	if err != nil || len(leases) != 2 {
		t.Fatalf("leases %v, %v", leases, err)
	}
	// host-local works in the directory: the file may be written any moment.
	f, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := ReleaseUnwritten(soon, dir); err == nil {
		t.Error("a lease went while host-local held its lock")
	}
	if leases, err = Leases(dir); err != nil || len(leases) != 2 {
		t.Errorf("left: %v, %v", leases, err)
	}
	f.Close()

	if err := ReleaseUnwritten(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if leases, err = Leases(dir); err != nil || len(leases) != 1 || leases[0].ContainerID != "one" {
		t.Errorf("left: %v, %v", leases, err)
	}
	if err := ReleaseUnwritten(t.Context(), filepath.Join(dir, "none")); err != nil {
		t.Errorf("a network without leases: %v", err)
	}
}
