package pluginhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/core/pluginhost/discovery"
	"github.com/droverhq/drover/core/pluginhost/process"
)

// account is the user of its own that a plugin runs as. nil stands for the agent's.
type account struct {
	process.Credential
	name, home string
}

// environ replaces what of an environment belongs to the agent's user.
func (a *account) environ(env []string) []string {
	if a == nil {
		return env
	}
	var kept []string
	for _, entry := range env {
		switch name, _, _ := strings.Cut(entry, "="); name {
		case "HOME", "USER", "LOGNAME", "MAIL":
		default:
			kept = append(kept, entry)
		}
	}
	return append(kept, "HOME="+a.home, "USER="+a.name, "LOGNAME="+a.name)
}

func (a *account) credential() *process.Credential {
	if a == nil {
		return nil
	}
	return &a.Credential
}

// workDir is where its process begins; empty = where the agent is, which another user may not be allowed to be.
func (a *account) workDir() string {
	if a == nil {
		return ""
	}
	return string(filepath.Separator)
}

// usersDir holds the socket directories of plugins with users of their own, apart from the run directory, which nobody
// else may enter.
func (h *Host) usersDir() string { return h.config.RunDir + "-u" }

func (f *family) usersDir() string {
	return filepath.Join(f.host.usersDir(), filepath.Base(f.runDir()))
}

// sharedDir outlives the generation, socketDir goes with it.
func (g *generation) sharedDir(a *account) string {
	if a == nil {
		return g.family.host.config.RunDir
	}
	return filepath.Join(g.family.usersDir(), "run")
}

func (g *generation) socketDir(a *account) string {
	if a == nil {
		return g.runDir()
	}
	return filepath.Join(g.family.usersDir(), fmt.Sprint(g.number))
}

// confined is the directory in which alone the agent removes a socket for the plugin; empty = anywhere.
func (g *generation) confined(a *account) string {
	if a == nil {
		return ""
	}
	return g.socketDir(a)
}

// makeDirs makes the directories that the process needs. Those that are its user's lie in directories that are the
// agent's: the user can put there what it wants, and cannot put something else in their place.
func (g *generation) makeDirs(a *account) error {
	if err := os.MkdirAll(g.runDir(), 0o700); err != nil {
		return fmt.Errorf("make socket directory: %w", err)
	}
	if a == nil {
		return nil
	}
	h := g.family.host
	for _, dir := range []string{h.usersDir(), g.family.usersDir()} {
		if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make socket directory: %w", err)
		}
		if err := discovery.CheckDir("socket directory", dir); err != nil {
			return final("%v", err)
		}
		if err := os.Chmod(dir, 0o711); err != nil {
			return fmt.Errorf("make socket directory: %w", err)
		}
	}
	for _, dir := range []string{g.sharedDir(a), g.socketDir(a)} {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make socket directory: %w", err)
		}
		if err := os.Lchown(dir, int(a.UID), int(a.GID)); err != nil {
			return fmt.Errorf("make socket directory: %w", err)
		}
	}
	for _, path := range []string{g.socketDir(a), h.store.Path(g.digest, g.family.file)} {
		if err := a.reaches(filepath.Dir(path)); err != nil {
			return final("%v", err)
		}
	}
	return nil
}

// removeDirs removes what makeDirs made for one generation.
func (g *generation) removeDirs() error {
	return errors.Join(os.RemoveAll(g.runDir()), os.RemoveAll(filepath.Join(g.family.usersDir(), fmt.Sprint(g.number))))
}

// removeDirs removes what makeDirs made for the family.
func (f *family) removeDirs() error {
	return errors.Join(os.RemoveAll(f.runDir()), os.RemoveAll(f.usersDir()))
}

// removeSocket removes what a killed plugin leaves. A plugin chose the path; with a user of its own it may name nothing
// outside of its directory, whatever links are on the way.
func (c *connection) removeSocket() {
	if c.stdout != "" {
		os.Remove(c.stdout)
	}
	if c.network != "unix" {
		return
	}
	if c.confined == "" {
		os.Remove(c.addr)
		return
	}
	rel, err := filepath.Rel(c.confined, c.addr)
	if err != nil {
		return
	}
	if root, err := os.OpenRoot(c.confined); err == nil {
		root.Remove(rel)
		root.Close()
	}
}
