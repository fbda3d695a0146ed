// Package conflist is about which networks there are: those of cni_config_dir and the built-in bridge.
package conflist

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/containernetworking/cni/libcni"
)

// Prefix is what jobs write before the name of a network of cni_config_dir.
const Prefix = "cni/"

// Network is one network that can be had, or cannot for the reason Err.
type Network struct {
	Mode string // as jobs write it
	File string // where it comes from; "" = built in
	Raw  []byte // the configuration list
	Err  error
}

// Binaries are the plugins the network consists of, IPAM included.
func (n *Network) Binaries() []string {
	var list struct {
		Plugins []struct {
			Type string
			IPAM struct{ Type string }
		}
	}
	if json.Unmarshal(n.Raw, &list) != nil {
		return nil
	}
	var names []string
	for _, p := range list.Plugins {
		for _, name := range []string{p.Type, p.IPAM.Type} {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// defaultLeases is where host-local keeps its leases unless it is told otherwise.
const defaultLeases = "/var/lib/cni/networks"

// LeaseDirs are the directories in which host-local, if the configuration list uses it, keeps the leases.
func LeaseDirs(raw []byte) []string {
	var list struct {
		Name    string
		Plugins []struct {
			IPAM struct{ Type, DataDir string }
		}
	}
	if json.Unmarshal(raw, &list) != nil || list.Name == "" {
		return nil
	}
	var dirs []string
	for _, p := range list.Plugins {
		if p.IPAM.Type != "host-local" {
			continue
		}
		dir := p.IPAM.DataDir
		if dir == "" {
			dir = defaultLeases
		}
		dirs = append(dirs, filepath.Join(dir, list.Name))
	}
	return dirs
}

// maxFile bounds a configuration file.
const maxFile = 1 << 20

// Read reads the networks of a directory, in the order of file names. A file that cannot be used is a network too, named
// after the file, with the reason: whoever put it there looks for it. A missing directory holds none.
func Read(dir string) ([]*Network, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cni_config_dir: %w", err)
	}
	var list []*Network
	first := map[string]string{}
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".conflist", ".conf", ".json":
		default:
			continue
		}
		n := readFile(dir, e.Name())
		if before, taken := first[n.Mode]; taken {
			n = &Network{Mode: fileMode(e.Name()), File: n.File, Err: fmt.Errorf("%s: the network is called %q, as that of %s, which is used",
				e.Name(), strings.TrimPrefix(n.Mode, Prefix), filepath.Base(before))}
			if _, taken := first[n.Mode]; taken {
				continue // the name is in use by a good one
			}
		}
		first[n.Mode] = n.File
		list = append(list, n)
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Mode < list[j].Mode })
	return list, nil
}

func fileMode(name string) string {
	base := strings.TrimSuffix(name, filepath.Ext(name))
	return Prefix + strings.Map(func(r rune) rune {
		if r <= ' ' || r == '/' || r == 0x7f {
			return '_'
		}
		return r
	}, base)
}

func readFile(dir, name string) *Network {
	n := &Network{Mode: fileMode(name), File: filepath.Join(dir, name)}
	raw, err := readSmall(n.File)
	if err != nil {
		n.Err = err
		return n
	}
	list, err := parse(raw, filepath.Ext(name) == ".conflist")
	if err != nil {
		n.Err = fmt.Errorf("%s: %w", name, err)
		return n
	}
	n.Mode, n.Raw = Prefix+list.Name, list.Bytes
	return n
}

func readSmall(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", filepath.Base(file))
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes, more than %d", filepath.Base(file), info.Size(), maxFile)
	}
	return os.ReadFile(file)
}

// parse reads a list, or a single plugin's configuration as a list of one.
func parse(raw []byte, isList bool) (*libcni.NetworkConfigList, error) {
	if !json.Valid(raw) {
		return nil, errors.New("it is not valid JSON")
	}
	var list *libcni.NetworkConfigList
	var err error
	if isList {
		list, err = libcni.NetworkConfFromBytes(raw)
	} else {
		var one *libcni.PluginConfig
		if one, err = libcni.NetworkPluginConfFromBytes(raw); err == nil {
			list, err = libcni.ConfListFromConf(one)
		}
	}
	if err != nil {
		return nil, err
	}
	switch {
	case list.Name == "" || len(list.Name) > 100 || strings.ContainsAny(list.Name, "/ \t\r\n\x00"):
		return nil, fmt.Errorf("its name %.60q is empty, longer than 100 characters, or holds a slash or a space", list.Name)
	case len(list.Plugins) == 0:
		return nil, errors.New("it lists no plugin")
	}
	for i, p := range list.Plugins {
		if p.Network.Type == "" || strings.ContainsAny(p.Network.Type, "/\\\x00") {
			return nil, fmt.Errorf("plugin %d has the type %.60q, which names no file of cni_path", i+1, p.Network.Type)
		}
	}
	return list, nil
}
