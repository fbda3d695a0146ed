package network

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// many is a group of bridge allocations that answer with their own index.
const many = `
job "many" {
  group "g" {
    count = %d
    ephemeral_disk {
      size = 10
    }
    network {
      mode = "bridge"
      port "http" { to = 8080 }
    }
    restart {
      attempts = 10
      delay    = "200ms"
      mode     = "delay"
    }
    task "server" {
      driver = "exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "echo $NOMAD_ALLOC_ID > local/index.html; exec busybox httpd -f -p 8080 -h local"]
      }
      logs {
        max_files     = 1
        max_file_size = 1
      }
      resources {
        cpu    = 10
        memory = 16
      }
    }
  }
}`

// scale is how much a test of kills does.
type scale struct{ allocations, kills, changes int }

// ofTier is a little in development and CI, and the full counts in soak.
func ofTier() scale {
	if os.Getenv("DROVER_TIER") == "soak" {
		return scale{allocations: 200, kills: 30, changes: 100}
	}
	return scale{allocations: 8, kills: 3, changes: 12}
}

// disturb kills n times, each at any step of what goes on.
func (s *site) disturb(random *rand.Rand, n int) {
	s.t.Helper()
	for range n {
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
		s.kill(random.IntN(3))
		s.WaitReady()
	}
}

// kill ends processes of the site at random: the agent, the network plugin, or both at once.
func (s *site) kill(which int) {
	if which != 0 {
		for _, pid := range s.Find("drover-network-cni") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if which != 1 {
		s.Kill9()
		s.Run()
	}
}

// answers checks that an allocation is reached by its mapped port.
func (s *site) answers(a alloc) {
	s.t.Helper()
	s.eventuallyIs("answer of "+a.ID, a.ID, func() (string, error) {
		return fetch(fmt.Sprintf("http://127.0.0.1:%d/", a.AllocatedResources.Shared.Ports[0].Value))
	})
}

func TestNothingStaleAfterKills(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.boot()
	n := ofTier()
	random := rand.New(rand.NewPCG(5, 2026))
	s.RunJob(fmt.Sprintf(many, n.allocations), "-detach")
	s.disturb(random, n.kills-n.kills/3)
	for _, al := range s.WaitAllocs("many", n.allocations, "running", 5*time.Minute) {
		s.answers(s.alloc(al.ID))
	}
	ids := s.idsOf("many")
	s.MustCLI("job", "stop", "-detach", "-purge", "many")
	s.disturb(random, n.kills/3)
	s.Eventually(3*time.Minute, "nothing left", func() error { return s.left(ids...) })
}

// idsOf are a job's allocations, those that have ended included.
func (s *site) idsOf(job string) (ids []string) {
	s.t.Helper()
	for _, al := range s.Allocs(job) {
		ids = append(ids, al.ID)
	}
	return ids
}

// lab is a configuration list of the site's own with ports.
func (s *site) lab(mtu int) string {
	return fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "lab", "plugins": [
  {"type": "bridge", "bridge": %q, "mtu": %d, "isGateway": true, "ipam": {"type": "host-local", "subnet": %q, "dataDir": %q}},
  {"type": "portmap", "backend": "nftables", "snat": true, "capabilities": {"portMappings": true}}]}`,
		s.bridge, mtu, s.net("0/24"), filepath.Join(s.DataDir, "plugin-data", "cni", "leases"))
}

// change changes the lab's configuration list n times: it is another one, broken, gone, and whole again.
func (s *site) change(n int) {
	file := filepath.Join(s.cni, "lab.conflist")
	for i := range n {
		switch i % 4 {
		case 0:
			s.conflist("lab", s.lab(1300+i))
		case 1:
			s.conflist("lab", s.lab(1500)[:60])
		case 2:
			if err := os.Remove(file); err != nil {
				s.t.Error(err)
			}
		case 3:
			s.conflist("lab", s.lab(1500))
		}
		time.Sleep(300 * time.Millisecond) // the plugin looks every second: it sees some of them, and of a setup any part
	}
	s.conflist("lab", s.lab(1500))
}

// TestNothingStaleWhileConfigurationsChange: allocations come, fail and go while the list they are set up by changes under
// them and the processes that do it are killed.
func TestNothingStaleWhileConfigurationsChange(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.conflist("lab", s.lab(1500))
	s.boot()
	s.untilMode("cni/lab", "")
	n := ofTier()
	random := rand.New(rand.NewPCG(100, 2026))
	job := strings.Replace(fmt.Sprintf(many, n.allocations), `mode = "bridge"`, `mode = "cni/lab"`, 1)
	s.RunJob(job, "-detach")
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		s.change(n.changes)
	}()
	s.disturb(random, n.kills)
	<-changed
	s.untilMode("cni/lab", "")
	ids := s.idsOf("many")
	s.MustCLI("job", "stop", "-detach", "-purge", "many")
	s.kill(random.IntN(3))
	s.WaitReady()
	s.Eventually(3*time.Minute, "nothing left", func() error { return s.left(ids...) })

	s.RunJob(strings.Replace(job, fmt.Sprintf("count = %d", n.allocations), "count = 1", 1), "-detach")
	last := s.WaitAllocs("many", 1, "running", time.Minute)[0].ID
	s.answers(s.alloc(last))
	s.MustCLI("job", "stop", "-detach", "-purge", "many")
	s.clean(last)
}

// TestLostAndRestoredPartsAreMended: what is missing of a network comes back, what is too much goes, and what belongs to
// others stays.
func TestLostAndRestoredPartsAreMended(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.boot()
	s.RunJob(fmt.Sprintf(many, 2))
	allocs := s.WaitAllocs("many", 2, "running", time.Minute)
	one, two := s.alloc(allocs[0].ID), s.alloc(allocs[1].ID)
	s.answers(one)
	nft := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("nft", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("nft %v: %v: %s", args, err, out)
		}
		return string(out)
	}

	// Somebody's own rule in the same chain.
	foreign := fmt.Sprintf("tcp dport %d dnat to 192.0.2.1:80", harness.FreePort(t))
	nft("add", "rule", "ip", "cni_hostport", "hostports", foreign)
	t.Cleanup(func() {
		if n := deleteRules(t, foreign, 1000); n > 1 { // one that stays would lead the next user of that port nowhere
			t.Errorf("somebody's own rule was there %d times", n)
		}
	})

	t.Run("rules", func(t *testing.T) {
		deleteRules(t, two.NetworkStatus.Address+":8080", 1)
		s.within(t, "the rule is back", func() error {
			if n := strings.Count(nft("list", "table", "ip", "cni_hostport"), two.NetworkStatus.Address+":8080"); n != 2 {
				return fmt.Errorf("%d rules lead to %s, want those of TCP and UDP", n, two.NetworkStatus.Address)
			}
			return nil
		})
		s.answers(two)
	})
	t.Run("namespace file", func(t *testing.T) {
		if out, err := exec.Command("ip", "netns", "del", one.ID).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		s.within(t, "the namespace has its file back", func() error {
			_, err := os.Stat("/run/netns/" + one.ID)
			return err
		})
		s.answers(one) // the task has never left it
	})
	t.Run("after kill -9 of agent and plugin", func(t *testing.T) {
		saved := rulesOf(two.ID, nft("list", "table", "ip", "cni_hostport"))
		s.MustCLI("alloc", "stop", "-detach", two.ID)
		s.Eventually(30*time.Second, "the other is gone", func() error {
			if strings.Contains(nft("list", "table", "ip", "cni_hostport"), two.ID) {
				return fmt.Errorf("its rules are there")
			}
			return nil
		})
		s.kill(2)
		restore := exec.Command("nft", "-f", "-")
		restore.Stdin = strings.NewReader(saved) // adds them to those that are there
		if out, err := restore.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		s.WaitReady()
		s.within(t, "the old rules are gone", func() error {
			if strings.Contains(nft("list", "table", "ip", "cni_hostport"), two.ID) {
				return fmt.Errorf("old rules of %s are there", two.ID)
			}
			return nil
		})
		s.answers(one)
	})
	if !strings.Contains(nft("list", "table", "ip", "cni_hostport"), foreign) {
		t.Error("somebody's own rule is gone")
	}
	s.MustCLI("job", "stop", "-purge", "many")
	s.clean(one.ID, two.ID)
}

// TestLostPartsOfOtherNetworksAreMended: the same for a network of cni_config_dir that keeps its leases elsewhere.
func TestLostPartsOfOtherNetworksAreMended(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	leases := t.TempDir()
	s.conflist("far", fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "far", "plugins": [
  {"type": "bridge", "bridge": %q, "isGateway": true, "ipMasq": true, "ipMasqBackend": "nftables", "ipam": {"type": "host-local", "subnet": %q, "dataDir": %q}},
  {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}}]}`, s.bridge, s.net("0/24"), leases))
	s.boot()
	s.untilMode("cni/far", "")
	s.RunJob(strings.Replace(fmt.Sprintf(many, 1), `mode = "bridge"`, `mode = "cni/far"`, 1))
	one := s.alloc(s.WaitAllocs("many", 1, "running", time.Minute)[0].ID)
	s.answers(one)
	address := one.NetworkStatus.Address
	lease := filepath.Join(leases, "far", address)
	carried, err := os.ReadFile(lease)
	if err != nil {
		t.Fatal(err)
	}
	text := func(table ...string) string {
		t.Helper()
		out, err := exec.Command("nft", append([]string{"list", "table"}, table...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("nft list table %v: %v: %s", table, err, out)
		}
		return string(out)
	}

	t.Run("rules", func(t *testing.T) {
		if n := deleteRules(t, address+":8080", 1); n != 1 {
			t.Fatalf("%d rules were deleted", n)
		}
		s.within(t, "the rule is back", func() error {
			if n := strings.Count(text("ip", "cni_hostport"), address+":8080"); n != 2 {
				return fmt.Errorf("%d rules lead to %s, want those of TCP and UDP", n, address)
			}
			return nil
		})
		s.answers(one)
	})
	t.Run("lease", func(t *testing.T) {
		if err := os.Remove(lease); err != nil {
			t.Fatal(err)
		}
		s.within(t, "the lease is back", func() error {
			_, err := os.Stat(lease)
			return err
		})
		s.answers(one)
	})
	t.Run("lease of nobody", func(t *testing.T) {
		stray := filepath.Join(leases, "far", s.net("200"))
		other := strings.Replace(string(carried), one.ID, strings.Repeat("0", len(one.ID)), 1)
		if err := os.WriteFile(stray, []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		s.within(t, "it is gone", func() error {
			if _, err := os.Stat(stray); err == nil {
				return fmt.Errorf("%s is there", stray)
			}
			return nil
		})
	})
	if again := s.alloc(one.ID).NetworkStatus.Address; again != address {
		t.Errorf("it had the address %s and has %s", address, again)
	}
	s.MustCLI("job", "stop", "-purge", "many")
	s.clean(one.ID)
	if left, _ := filepath.Glob(filepath.Join(leases, "far", "10.*")); len(left) > 0 {
		t.Errorf("leases are left: %v", left)
	}
}

// within is the word: a difference is gone within 10 s.
func (s *site) within(t *testing.T, what string, f func() error) {
	t.Helper()
	start := time.Now()
	s.Eventually(30*time.Second, what, f)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("%s after %s, more than 10 s", what, took)
	}
}

// rulesOf leaves only the rules that hold a text of a table as nft lists it. The others are not this test's to repeat.
func rulesOf(text, table string) string {
	var kept strings.Builder
	for line := range strings.Lines(table) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "table", "chain", "type", "}", "":
			kept.WriteString(line)
		default:
			if strings.Contains(line, text) {
				kept.WriteString(line)
			}
		}
	}
	return kept.String()
}

// deleteRules deletes rules of the port table that lead somewhere and hold a text, and returns how many.
func deleteRules(t *testing.T, text string, most int) (n int) {
	t.Helper()
	out, err := exec.Command("nft", "-a", "list", "table", "ip", "cni_hostport").Output()
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(out)) {
		_, handle, ok := strings.Cut(line, "# handle ")
		if ok && n < most && strings.Contains(line, text) && strings.Contains(line, "dnat") {
			if out, err := exec.Command("nft", "delete", "rule", "ip", "cni_hostport", "hostports", "handle", strings.TrimSpace(handle)).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			n++
		}
	}
	return n
}
