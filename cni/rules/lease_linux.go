package rules

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Lease is an address that host-local gave out.
type Lease struct {
	File        string
	IP          netip.Addr
	ContainerID string // "": host-local was ended before it wrote it, or is about to write it
}

// ReleaseUnwritten gives back the addresses of a network's directory that host-local was ended over, before it wrote whose
// they are. It holds host-local's own lock meanwhile, so that none is about to be written.
func ReleaseUnwritten(ctx context.Context, dir string) error {
	unlock, err := lock(ctx, dir)
	if err != nil || unlock == nil {
		return err
	}
	defer unlock()
	leases, err := Leases(dir)
	if err != nil {
		return err
	}
	return Release(slices.DeleteFunc(leases, func(l Lease) bool { return l.ContainerID != "" }))
}

// lock takes the lock of a network's directory, nil if there is no such directory.
func lock(ctx context.Context, dir string) (unlock func(), err error) {
	const pause = 20 * time.Millisecond
	f, err := os.Open(filepath.Join(dir, "lock"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock leases %s: %w", dir, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("lock leases %s: another program holds the lock: %w", dir, ctx.Err())
		}
	}
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
