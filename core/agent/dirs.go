package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/droverhq/drover/core/config"
	"github.com/droverhq/drover/core/pluginhost/discovery"
)

// dirs are the directories of one agent.
type dirs struct {
	data    string // everything that must survive a restart
	plugins string
	alloc   string
	state   string // the node's own state
	logs    string // log collector's state
	run     string // sockets and FIFOs; its path is short because socket paths are at most 107 bytes
	temp    bool   // data is thrown away at the end (-dev)
}

// makeDirs decides on the directories and creates those that the agent owns.
func makeDirs(c *config.Config) (*dirs, error) {
	d := &dirs{data: c.DataDir, plugins: c.PluginDir, alloc: c.Client.AllocDir, state: c.Client.StateDir}
	if d.data == "" {
		tmp, err := os.MkdirTemp("", "drover-dev-")
		if err != nil {
			return nil, fmt.Errorf("make a directory for -dev: %w", err)
		}
		d.data, d.temp = tmp, true
	}
	if d.plugins == "" {
		d.plugins = filepath.Join(d.data, "plugins")
		if c.DevMode {
			if beside := besideExecutable(); beside != "" {
				d.plugins = beside
			}
		}
	}
	if d.alloc == "" {
		d.alloc = filepath.Join(d.data, "alloc")
	}
	if d.state == "" {
		d.state = filepath.Join(d.data, "client")
	}
	d.logs = filepath.Join(d.state, "logs")
	d.run = runDir(d.data)
	if os.Geteuid() == 0 { // plugins with users of their own must get through it to theirs
		if err := os.MkdirAll(filepath.Dir(d.run), 0o711); err != nil {
			return nil, fmt.Errorf("make directory: %w", err)
		}
		if err := os.Chmod(filepath.Dir(d.run), 0o711); err != nil { // it may be an older release's
			return nil, fmt.Errorf("run directory: %w", err)
		}
	}
	for dir, mode := range map[string]os.FileMode{d.data: 0o755, d.state: 0o700, d.alloc: 0o711, d.run: 0o700} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return nil, fmt.Errorf("make directory: %w", err)
		}
	}
	if err := ownRunDir(d.run); err != nil {
		return nil, err
	}
	return d, nil
}

// ownRunDir gives the directory of the sockets its mode and refuses one that somebody else could put another in place of.
// Without root it lies below the machine's directory for temporary files, where others may have been first.
func ownRunDir(dir string) error {
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	if os.Geteuid() < 0 { // a system without such owners: temporary files are the user's own there
		return nil
	}
	return discovery.CheckDir("run directory", dir)
}

// besideExecutable is the plugins directory next to the agent's binary, "" when there is none.
func besideExecutable() string {
	exe, err := os.Executable()
	if err != nil {
		return ""
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		return ""
	}
	dir := filepath.Join(filepath.Dir(exe), "plugins")
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return ""
	}
	return dir
}

// runDir is a short private directory that follows from the data directory, so that a restarted agent finds its
// sockets again.
func runDir(data string) string {
	sum := sha256.Sum256([]byte(data))
	short := hex.EncodeToString(sum[:4])
	if os.Geteuid() == 0 {
		return filepath.Join("/run/drover", short)
	}
	return filepath.Join(os.TempDir(), "drover-"+strconv.Itoa(os.Geteuid()), short)
}

// remove throws away what a -dev agent made.
func (d *dirs) remove() error {
	if !d.temp {
		return nil
	}
	if err := os.RemoveAll(d.run); err != nil {
		return err
	}
	os.Remove(filepath.Dir(d.run)) // only when no other agent uses it
	return os.RemoveAll(d.data)
}
