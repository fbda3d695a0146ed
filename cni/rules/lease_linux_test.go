package rules

import (
	"os"
	"path/filepath"
	"testing"
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
	lost := Unwritten(leases)
	if len(lost) != 1 || lost[0].IP.String() != "10.0.0.3" {
		t.Fatalf("unwritten: %v", lost)
	}
	if err := Release(lost); err != nil {
		t.Fatal(err)
	}
	if leases, err = Leases(dir); err != nil || len(leases) != 1 || leases[0].ContainerID != "one" {
		t.Errorf("left: %v, %v", leases, err)
	}
}
