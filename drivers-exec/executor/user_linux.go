package executor

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
)

// Account is who a task runs as.
type Account struct {
	Name string
	Home string
	launch.User
}

// LookupUser finds the account that a task named, checks it against the denied
// ids, and makes sure that we can become it.
func LookupUser(name string, denied Denied) (*Account, error) {
	a, err := lookup(name)
	if err != nil {
		return nil, err
	}
	if within(a.UID, denied.UIDs) {
		return nil, fmt.Errorf("user %q: uid %d is denied by the plugin option denied_host_uids", name, a.UID)
	}
	for _, gid := range append([]uint32{a.GID}, a.Groups...) {
		if within(gid, denied.GIDs) {
			return nil, fmt.Errorf("user %q: gid %d is denied by the plugin option denied_host_gids", name, gid)
		}
	}
	if euid := os.Geteuid(); euid != 0 && a.UID != uint32(euid) {
		return nil, fmt.Errorf("user %q: the plugin runs as uid %d and cannot become uid %d; run the agent as root or leave user out", name, euid, a.UID)
	}
	return a, nil
}

func lookup(name string) (*Account, error) {
	if uid, ok := dynamicUID(name); ok {
		return &Account{Name: name, Home: "/", User: launch.User{UID: uid, GID: uid, Groups: []uint32{uid}}}, nil
	}
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return nil, fmt.Errorf("user %q does not exist on this node", name)
	}
	if err != nil {
		return nil, fmt.Errorf("look up user %q: %w", name, err)
	}
	a := &Account{Name: u.Username, Home: u.HomeDir}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("look up groups of user %q: %w", name, err)
	}
	if a.UID, err = id(u.Uid); err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	if a.GID, err = id(u.Gid); err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	for _, text := range ids {
		gid, err := id(text)
		if err != nil {
			return nil, fmt.Errorf("groups of user %q: %w", name, err)
		}
		a.Groups = append(a.Groups, gid)
	}
	return a, nil
}

func id(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}
