// Package network tests allocations' networks through a whole agent: real sockets, real packet filter rules, and what is
// left of them.
package network

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// site is an agent with a bridge of its own.
type site struct {
	*harness.Agent
	t       *testing.T
	bridge  string
	subnet  [2]byte // 10.a.b.0/24
	cni     string  // cni_config_dir
	Plugins string  // first directory of cni_path
	plugins string  // plugin_dir
}

func needsNetworks(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Fatal("package nftables is not installed (.ci/deps installs it)")
	}
}

// pluginDir is a plugin_dir with the exec drivers and the network plugin.
func pluginDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range []string{"drover-driver-raw-exec", "drover-driver-exec", "drover-network-cni"} {
		if out, err := exec.Command("cp", filepath.Join(harness.Bin(t), "plugins", file), dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return dir
}

// newSite prepares an agent with the exec drivers and the network plugin.
func newSite(t *testing.T, config string) *site {
	t.Helper()
	needsNetworks(t)
	bin, plugins := harness.Bin(t), pluginDir(t)
	var random [3]byte
	_, _ = rand.Read(random[:])
	s := &site{t: t, plugins: plugins, bridge: "dr" + hex.EncodeToString(random[:]), subnet: [2]byte{200 + random[0]%50, random[1]}, cni: t.TempDir(), Plugins: t.TempDir()}
	s.Agent = harness.New(t, harness.Options{PluginDir: plugins, Config: fmt.Sprintf(`
client {
  bridge_network_name        = %q
  bridge_network_subnet      = %q
  bridge_network_subnet_ipv6 = %q
  cni_config_dir             = %q
  cni_path                   = "%s:%s"
}
%s`, s.bridge, s.net("0/24"), s.net6()+"/64", s.cni, s.Plugins, filepath.Join(bin, "cni"), config)})
	t.Cleanup(s.purge)
	return s
}

// purge removes what a test that failed half-way leaves on the machine.
func (s *site) purge() {
	var jobs []struct{ ID string }
	if s.t.Failed() && s.Get("/v1/jobs", &jobs) == nil {
		for _, j := range jobs {
			s.CLI("job", "stop", "-detach", "-purge", j.ID)
		}
		for late := time.Now().Add(15 * time.Second); s.left() != nil && time.Now().Before(late); {
			time.Sleep(100 * time.Millisecond)
		}
	}
	_ = exec.Command("ip", "link", "del", s.bridge).Run()
}

// boot starts the agent and waits for the network plugin.
func (s *site) boot() {
	s.t.Helper()
	s.Run()
	s.WaitReady()
	s.untilMode("bridge", "")
}

func (s *site) net(rest string) string {
	return fmt.Sprintf("10.%d.%d.%s", s.subnet[0], s.subnet[1], rest)
}

// net6 is the beginning of the addresses of the IPv6 network.
func (s *site) net6() string { return fmt.Sprintf("fd00:d0:%x%02x::", s.subnet[0], s.subnet[1]) }

// mode is what the node says of a network mode.
type mode struct {
	Mode, Plugin, HealthDescription string
	Healthy                         bool
}

// modes are those of the only node.
func (s *site) modes() ([]mode, error) {
	var nodes []struct{ ID string }
	if err := s.Get("/v1/nodes", &nodes); err != nil || len(nodes) != 1 {
		return nil, fmt.Errorf("nodes %v: %w", nodes, err)
	}
	var n struct{ NetworkModes []mode }
	err := s.Get("/v1/node/"+nodes[0].ID, &n)
	return n.NetworkModes, err
}

// untilMode waits until a mode is healthy, or until it is not and the reason holds the text.
func (s *site) untilMode(name, reason string) {
	s.t.Helper()
	s.Eventually(30*time.Second, "mode "+name+" "+reason, func() error {
		modes, err := s.modes()
		if err != nil {
			return err
		}
		for _, m := range modes {
			if m.Mode == name && m.Healthy == (reason == "") && strings.Contains(m.HealthDescription, reason) {
				return nil
			}
		}
		return fmt.Errorf("modes are %+v", modes)
	})
}

// alloc is an allocation with its network.
type alloc struct {
	ID            string
	ClientStatus  string
	TaskGroup     string
	NetworkStatus struct {
		InterfaceName, Address, AddressIPv6 string

		Interfaces []struct{ Name, Mode, Address string }
	}

	AllocatedResources struct {
		Shared struct {
			Ports []struct {
				Label     string
				Value, To int
				HostIP    string
			}
		}
	}
}

func (s *site) alloc(id string) alloc {
	s.t.Helper()
	var a alloc
	if err := s.Get("/v1/allocation/"+id, &a); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// in runs a command in a task.
func (s *site) in(id, task string, argv ...string) (string, error) {
	out, errs, code := s.CLI(append([]string{"alloc", "exec", "-i=false", "-t=false", "-task", task, id}, argv...)...)
	if code != 0 {
		return out, fmt.Errorf("%v in %s: code %d: %s%s", argv, task, code, out, errs)
	}
	return out, nil
}

// get is a program that prints a page.
const get = "import sys,urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"

// fetch reads a page from the test's own place.
func fetch(url string) (string, error) {
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(text)), err
}

func (s *site) eventuallyIs(what, want string, f func() (string, error)) {
	s.t.Helper()
	s.Eventually(20*time.Second, what, func() error {
		got, err := f()
		if err == nil && strings.TrimSpace(got) != want {
			err = fmt.Errorf("got %q, want %q", got, want)
		}
		return err
	})
}

// rules are all lines of the packet filter that name something of the site's: its allocations by owner, its addresses,
// its bridge.
func (s *site) rules() []string {
	var found []string
	for _, cmd := range [][]string{{"nft", "-n", "list", "ruleset"}, {"iptables-save"}, {"ip6tables-save"}} {
		out, err := exec.Command(cmd[0], cmd[1:]...).Output()
		if err != nil && cmd[0] == "nft" {
			found = append(found, fmt.Sprintf("whatever nft cannot list: %v", err))
		}
		if err != nil {
			continue // what the nft backend of iptables has is in nft's list too
		}
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, s.net("")) || strings.Contains(line, s.bridge) || strings.Contains(line, fmt.Sprintf("fd00:d0:%x%02x:", s.subnet[0], s.subnet[1])) {
				found = append(found, cmd[0]+": "+strings.TrimSpace(line))
			}
		}
	}
	return found
}

// left lists what is left of the site's networks.
func (s *site) left(ids ...string) error {
	var found []string
	for _, id := range ids {
		if _, err := os.Stat("/run/netns/" + id); err == nil {
			found = append(found, "namespace "+id)
		}
	}
	if out, err := exec.Command("ip", "-o", "link", "show", "master", s.bridge).Output(); err == nil {
		found = append(found, "bridge "+s.bridge+" "+string(bytes.TrimSpace(out)))
	}
	found = append(found, s.rules()...)
	found = append(found, running(ids)...)
	for _, pattern := range []string{"leases/*/[0-9a-f]*[.:]*", "allocs/*.json", "cache/results/*"} {
		files, _ := filepath.Glob(filepath.Join(s.DataDir, "plugin-data", "cni", pattern))
		found = append(found, files...)
	}
	if len(found) > 0 {
		return errors.New("left:\n  " + strings.Join(found, "\n  "))
	}
	return nil
}

// running are the CNI plugins that work for one of the allocations.
func running(ids []string) (found []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		_, container, _ := strings.Cut(string(text), "CNI_CONTAINERID=")
		container, _, _ = strings.Cut(container, "\x00")
		for _, id := range ids {
			if strings.HasSuffix(container, id) {
				found = append(found, "process "+filepath.Dir(file)+" for "+id)
			}
		}
	}
	return found
}

// clean waits until nothing is left.
func (s *site) clean(ids ...string) {
	s.t.Helper()
	s.Eventually(15*time.Second, "nothing left", func() error { return s.left(ids...) })
}
