package rules

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// Lease is an address that host-local gave out.
type Lease struct {
	File        string
	IP          netip.Addr
	ContainerID string // empty: host-local was ended before it wrote it, or is about to write it
}

// Unwritten returns the leases whose file nobody wrote to. Unless host-local runs at this moment nobody ever will: the
// address is lost until the file goes.
func Unwritten(leases []Lease) []Lease {
	var out []Lease
	for _, l := range leases {
		if l.ContainerID == "" {
			out = append(out, l)
		}
	}
	return out
}

// Leases reads the leases of a network's directory; host-local writes the container's id and the interface into a file
// named by the address.
func Leases(dir string) ([]Lease, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var leases []Lease
	for _, e := range entries {
		ip, err := netip.ParseAddr(e.Name())
		if err != nil {
			continue
		}
		file := filepath.Join(dir, e.Name())
		text, err := os.ReadFile(file)
		if err != nil {
			continue // released since it was listed
		}
		id, _, _ := strings.Cut(strings.ReplaceAll(string(text), "\r", ""), "\n")
		leases = append(leases, Lease{file, ip, strings.TrimSpace(id)})
	}
	return leases, nil
}

// Release gives addresses back.
func Release(leases []Lease) error {
	for _, l := range leases {
		if err := os.Remove(l.File); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
