// Package netlab is machines on one wire: network namespaces with an address each, joined by a bridge in another one, so
// that packet filters of the real machine have no say. Whoever makes it is on the wire too. It needs root, ip and nft.
package netlab

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Wire joins the machines.
type Wire struct {
	name   string // begins the name of everything of it
	prefix string // 10.a.b.
	hosts  []string
}

// New lays a wire; Close takes it away.
func New() (_ *Wire, err error) {
	var random [3]byte
	_, _ = rand.Read(random[:])
	w := &Wire{name: "dw" + hex.EncodeToString(random[:]), prefix: fmt.Sprintf("10.%d.%d.", 100+random[0]%90, random[1])}
	defer func() {
		if err != nil {
			_ = w.Close()
		}
	}()
	if err := w.namespace("switch"); err != nil {
		return nil, err
	}
	for _, args := range []string{
		"-n " + w.name + "switch link add wire type bridge",
		"-n " + w.name + "switch link set wire up",
		"link add " + w.name + " type veth peer name test netns " + w.name + "switch",
		"addr add " + w.prefix + "254/24 dev " + w.name,
		"link set " + w.name + " up",
		"-n " + w.name + "switch link set test master wire up",
	} {
		if err := ip(args); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, bytes.TrimSpace(out))
	}
	return nil
}

func (w *Wire) namespace(name string) error {
	if err := ip("netns add " + w.name + name); err != nil {
		return err
	}
	return ip("-n " + w.name + name + " link set lo up")
}

// Host adds a machine and returns its address. Its name is short: it is an interface's too.
func (w *Wire) Host(name string) (string, error) {
	if err := w.namespace(name); err != nil {
		return "", err
	}
	w.hosts = append(w.hosts, name)
	addr := w.Address(name)
	for _, args := range []string{
		"-n " + w.name + "switch link add " + name + " type veth peer name eth0 netns " + w.name + name,
		"-n " + w.name + "switch link set " + name + " master wire up",
		"-n " + w.name + name + " addr add " + addr + "/24 dev eth0",
		"-n " + w.name + name + " link set eth0 up",
	} {
		if err := ip(args); err != nil {
			return "", err
		}
	}
	return addr, nil
}

// Address of a machine.
func (w *Wire) Address(name string) string {
	for i, h := range w.hosts {
		if h == name {
			return w.prefix + fmt.Sprint(i+1)
		}
	}
	return ""
}

// NetNS is the file of a machine's namespace.
func (w *Wire) NetNS(name string) string { return "/run/netns/" + w.name + name }

// Cut drops every packet that one machine sends to another; the other way stays open.
func (w *Wire) Cut(from, to string) error {
	return w.rules(to, fmt.Sprintf("add table inet cut\nadd chain inet cut in { type filter hook input priority 0; }\nadd rule inet cut in ip saddr %s drop\n", w.Address(from)))
}

// Part drops every packet between one machine and others.
func (w *Wire) Part(one string, others ...string) error {
	for _, o := range others {
		if err := errors.Join(w.Cut(one, o), w.Cut(o, one)); err != nil {
			return err
		}
	}
	return nil
}

// Heal undoes every Cut.
func (w *Wire) Heal() error {
	var errs []error
	for _, h := range w.hosts {
		errs = append(errs, w.rules(h, "add table inet cut\ndelete table inet cut\n"))
	}
	return errors.Join(errs...)
}

func (w *Wire) rules(host, text string) error {
	cmd := exec.Command("ip", "netns", "exec", w.name+host, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft on %s: %w: %s", host, err, bytes.TrimSpace(out))
	}
	return nil
}

// Close removes everything; what runs in the namespaces must have ended.
func (w *Wire) Close() error {
	var errs []error
	for _, name := range append(w.hosts, "switch") {
		errs = append(errs, ip("netns del "+w.name+name))
	}
	_ = ip("link del " + w.name) // gone with its other end, if that was quick
	return errors.Join(errs...)
}
