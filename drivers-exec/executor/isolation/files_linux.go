package isolation

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/sdk/driver"
)

// generated writes the files that a task sees instead of the host's, into the
// task's private directory, which it cannot reach.
func generated(t *driver.TaskConfig) ([]launch.Entry, error) {
	var list []launch.Entry
	for _, f := range []struct{ name, text string }{
		{"resolv.conf", resolvConf(t.DNS)},
		{"hosts", hosts(t.Network)},
	} {
		if f.text == "" {
			continue
		}
		target := "/etc/" + f.name
		if _, err := os.Lstat(target); err != nil {
			return nil, fmt.Errorf("the host has no %s that could be replaced for the task: %w", target, err)
		}
		source, err := place(t, f.name, f.text)
		if err != nil {
			return nil, err
		}
		list = append(list, launch.Entry{Kind: launch.Bind, Source: source, Target: target, File: true, ReadOnly: true, NoDev: true})
	}
	return list, nil
}

// place writes a file below the task's directory, following no link out of it.
func place(t *driver.TaskConfig, name, text string) (string, error) {
	root, err := os.OpenRoot(t.TaskDir())
	if err != nil {
		return "", err
	}
	defer root.Close()
	if err := root.Mkdir("private", 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	rel := filepath.Join("private", name)
	f, err := root.OpenFile(rel, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return "", fmt.Errorf("write %s for the task: %w", name, err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("write %s for the task: %w", name, err)
	}
	return filepath.Join(t.TaskDir(), rel), nil
}

func resolvConf(d *driver.DNS) string {
	if d == nil {
		return ""
	}
	var b strings.Builder
	for _, s := range d.Servers {
		fmt.Fprintln(&b, "nameserver", s)
	}
	if len(d.Searches) > 0 {
		fmt.Fprintln(&b, "search", strings.Join(d.Searches, " "))
	}
	if len(d.Options) > 0 {
		fmt.Fprintln(&b, "options", strings.Join(d.Options, " "))
	}
	return b.String()
}

func hosts(n *driver.NetworkIsolation) string {
	if n == nil || n.Hosts == nil || n.Hosts.Hostname == "" {
		return ""
	}
	return "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n" + n.Hosts.Address + " " + n.Hosts.Hostname + "\n"
}
