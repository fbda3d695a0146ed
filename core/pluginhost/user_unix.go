//go:build unix

package pluginhost

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/droverhq/drover/core/pluginhost/process"
)

// lookupAccount finds the user of a plugin block by name or number, with all its groups: one of them may be what lets it
// use a daemon's socket. nil means the agent's own user.
func lookupAccount(name string) (*account, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		var byID error
		if u, byID = user.LookupId(name); byID != nil {
			return nil, final("user = %q: %v", name, err)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, final("user = %q has the number %q", name, u.Uid)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, final("user = %q has the group %q", name, u.Gid)
	}
	if int(uid) == os.Geteuid() {
		return nil, nil
	}
	if os.Geteuid() != 0 {
		return nil, final("user = %q needs an agent that runs as root; this one runs as user %d", name, os.Geteuid())
	}
	a := &account{name: u.Username, home: u.HomeDir, Credential: process.Credential{UID: uint32(uid), GID: uint32(gid)}}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user %q: %w", name, err)
	}
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			a.Groups = append(a.Groups, uint32(n))
		}
	}
	return a, nil
}

// uid is the number that a plugin's socket must belong to.
func (a *account) uid() int {
	if a == nil {
		return os.Geteuid()
	}
	return int(a.UID)
}

// reaches reports the first directory, from the root down to dir, that the user may not enter.
func (a *account) reaches(dir string) error {
	if parent := filepath.Dir(dir); parent != dir {
		if err := a.reaches(parent); err != nil {
			return err
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	bit := uint32(0o001)
	switch {
	case st.Uid == a.UID:
		bit = 0o100
	case st.Gid == a.GID || slices.Contains(a.Groups, st.Gid):
		bit = 0o010
	}
	if uint32(st.Mode)&bit == 0 {
		return fmt.Errorf("user %q may not enter %s (mode %04o), below which its binary or its socket lies: chmod o+x it",
			a.name, dir, info.Mode().Perm())
	}
	return nil
}
