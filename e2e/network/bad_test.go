package network

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// single is one task in a network of some mode.
const single = `
job %q {
  type = "batch"
  group "g" {
    reschedule {
      attempts  = 0
      unlimited = false
    }
    network {
      mode = %q
      %s
    }
    task "t" {
      driver = %q
      config {
        command = "/bin/sleep"
        args    = ["3600"]
      }
      resources {
        cpu    = 10
        memory = 16
      }
    }
  }
}`

// plugin writes a CNI plugin, and a configuration that uses it.
func (s *site) plugin(name, script string) {
	s.t.Helper()
	const head = "#!/bin/sh\n[ -n \"$CNI_COMMAND\" ] || exit 0\n"
	if err := os.WriteFile(filepath.Join(s.Plugins, name), []byte(head+script), 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.conflist(name, fmt.Sprintf(`{"cniVersion": "1.0.0", "name": %q, "plugins": [{"type": %q}]}`, name, name))
}

func (s *site) conflist(name, text string) {
	s.t.Helper()
	file := filepath.Join(s.cni, name+".conflist")
	if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		s.t.Fatal(err)
	}
}

// fails runs a job and waits until its allocation has failed for a reason.
func (s *site) fails(job, mode, network, reason string) string {
	s.t.Helper()
	s.RunJob(fmt.Sprintf(single, job, mode, network, "exec"), "-detach")
	al := s.WaitAllocs(job, 1, "failed", time.Minute)[0]
	text := ""
	for _, e := range al.TaskStates["t"].Events {
		text += e.DisplayMessage + "\n"
	}
	if !strings.Contains(text, reason) {
		s.t.Errorf("job %s: the events do not say %q:\n%s", job, reason, text)
	}
	return al.ID
}

func TestBadPluginsAndNetworks(t *testing.T) {
	t.Parallel()
	s := newSite(t, `
plugin "drover-network-cni" {
  config { plugin_timeout = "3s" }
}`)
	s.boot()
	marker := filepath.Join(s.Plugins, "leaked")
	s.plugin("hangs", `[ "$CNI_COMMAND" = DEL ] && exit 0; sleep 600`)
	s.plugin("exits", `[ "$CNI_COMMAND" = DEL ] && exit 0; echo '{"cniVersion":"1.0.0","code":11,"msg":"the switch is off","details":"port 7"}'; exit 1`)
	s.plugin("dies", `[ "$CNI_COMMAND" = DEL ] && exit 0; echo boom >&2; kill -9 $$`)
	s.plugin("garbage", `[ "$CNI_COMMAND" = DEL ] && exit 0; echo 'eth0 is fine <>'`)
	s.plugin("leaks", fmt.Sprintf(`[ "$CNI_COMMAND" = DEL ] && exit 0; (exec sleep 611 >/dev/null 2>&1) & echo $! > %s; echo '{"cniVersion":"1.0.0","code":999,"msg":"no more"}'; exit 1`, marker))
	for _, name := range []string{"hangs", "exits", "dies", "garbage", "leaks"} {
		s.untilMode("cni/"+name, "")
	}
	var ids []string
	ids = append(ids,
		s.fails("hangs", "cni/hangs", "", "CNI plugin hangs did not end within 3s"),
		s.fails("exits", "cni/exits", "", "the switch is off"),
		s.fails("dies", "cni/dies", "", "boom"),
		s.fails("garbage", "cni/garbage", "", "what is no JSON"),
		s.fails("leaks", "cni/leaks", "", "no more"))
	pid, err := os.ReadFile(marker)
	if err != nil {
		t.Fatal(err)
	}
	s.Eventually(5*time.Second, "what the plugin left running is gone", func() error {
		if _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); err == nil {
			return fmt.Errorf("process %s is there", pid)
		}
		return nil
	})
	s.clean(ids...)

	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	id := s.fails("port", "bridge", fmt.Sprintf("port \"http\" {\n static = %d\n}", port), fmt.Sprintf("port %d of the host (label \"http\") is in use by another program", port))
	s.clean(id)
}

func TestExhaustedSubnet(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.conflist("tiny", fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "tiny", "plugins": [{"type": "bridge", "bridge": %q, "isGateway": true,
  "ipam": {"type": "host-local", "subnet": %q, "dataDir": %q}}]}`, s.bridge, s.net("0/30"), filepath.Join(s.DataDir, "plugin-data", "cni", "leases")))
	s.boot()
	s.untilMode("cni/tiny", "")
	s.RunJob(fmt.Sprintf(single, "first", "cni/tiny", "", "exec"), "-detach")
	first := s.WaitAllocs("first", 1, "running", time.Minute)[0].ID
	second := s.fails("second", "cni/tiny", "", `the subnet of network "cni/tiny" is exhausted`)
	if got := s.alloc(first).NetworkStatus.Address; got != s.net("2") {
		t.Errorf("the first has the address %s", got)
	}
	s.MustCLI("job", "stop", "-detach", "-purge", "first")
	s.clean(first, second)
}

// TestConfigurationsComeAndGo: a new, broken, mended and removed configuration list is seen within seconds.
func TestConfigurationsComeAndGo(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.boot()
	lab := func(plugin string) string {
		return fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "lab", "plugins": [{"type": %q, "bridge": %q, "isGateway": true, "capabilities": {"ips": true},
  "ipam": {"type": "host-local", "subnet": %q, "dataDir": %q}}]}`, plugin, s.bridge, s.net("0/24"), filepath.Join(s.DataDir, "plugin-data", "cni", "leases"))
	}
	s.conflist("lab", `{"name": "lab", "plugins": [`)
	s.seen("a new file", func() { s.untilMode("cni/lab", "not valid JSON") })
	s.RunJob(fmt.Sprintf(single, "waits", "cni/lab", `cni {
        args = { IP = "`+s.net("77")+`" }
      }`, "exec"), "-detach")
	s.Eventually(20*time.Second, "the reason why it waits", func() error {
		out, _, _ := s.CLI("job", "status", "waits")
		if !strings.Contains(strings.ReplaceAll(out, `\`, ""), `network "cni/lab" is unhealthy`) {
			return fmt.Errorf("status: %s", out)
		}
		return nil
	})
	s.conflist("lab", lab("no-such-plugin"))
	s.untilMode("cni/lab", `CNI plugin "no-such-plugin" is not in cni_path`)
	s.conflist("lab", lab("bridge"))
	s.seen("a changed file", func() { s.untilMode("cni/lab", "") })
	id := s.WaitAllocs("waits", 1, "running", time.Minute)[0].ID
	if got := s.alloc(id).NetworkStatus.Address; got != s.net("77") {
		t.Errorf("it asked for the address %s and has %s", s.net("77"), got)
	}
	s.conflist("other", strings.Replace(lab("bridge"), `"isGateway"`, `"mtu": 1400, "isGateway"`, 1))
	s.untilMode("cni/other", "as that of lab.conflist, which is used")

	// The configuration goes; what was set up with it is removed all the same.
	for _, file := range []string{"lab.conflist", "other.conflist"} {
		if err := os.Remove(filepath.Join(s.cni, file)); err != nil {
			t.Fatal(err)
		}
	}
	s.seen("a removed file", func() {
		s.Eventually(30*time.Second, "the mode is gone", func() error {
			modes, err := s.modes()
			if err == nil && slices.ContainsFunc(modes, func(m mode) bool { return m.Mode == "cni/lab" }) {
				err = fmt.Errorf("modes are %+v", modes)
			}
			return err
		})
	})
	s.MustCLI("job", "stop", "-detach", "-purge", "waits")
	s.clean(id)
}

// seen is the promise that a change of cni_config_dir, made just before, counts within 5 s. wait returns when it does; what
// the API and this test take to say so is on top.
func (s *site) seen(what string, wait func()) {
	s.t.Helper()
	const promised, margin = 5 * time.Second, 1500 * time.Millisecond
	start := time.Now()
	wait()
	if took := time.Since(start); took > promised+margin {
		s.t.Errorf("%s was seen after %s, more than %s", what, took, promised)
	}
}

func TestRefusedAtSubmit(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.boot()
	for name, tc := range map[string]struct{ mode, network, want string }{
		"none with ports":    {"none", "port \"http\" {}", `mode "none" has no way in`},
		"hostname on exec":   {"bridge", "hostname = \"web\"", `sets hostname, which driver "exec" cannot give`},
		"hostname on host":   {"host", "hostname = \"web\"", "hostname needs a network of the group's own"},
		"semicolon":          {"bridge", "cni {\n args = { \"a;b\" = \"c\" }\n }", "must hold no semicolon"},
		"nameless":           {"cni/", "", "names no network"},
		"two networks, host": {"bridge", "}\n network {\n mode = \"host\"", `"host" cannot be combined`},
	} {
		out, errs, code := s.CLIInput(fmt.Sprintf(single, "bad", tc.mode, tc.network, "exec"), "job", "run", "-detach", "-")
		if code == 0 || !strings.Contains(out+errs, tc.want) {
			t.Errorf("%s: code %d: %s%s", name, code, out, errs)
		}
	}
	s.RunJob(fmt.Sprintf(single, "alone", "none", "", "exec"), "-detach")
	id := s.WaitAllocs("alone", 1, "running", time.Minute)[0].ID
	if out, err := s.in(id, "t", "/bin/cat", "/proc/net/dev"); err != nil || strings.Contains(out, "eth0") || !strings.Contains(out, "lo:") {
		t.Errorf("mode none shows %q, %v", out, err)
	}
	s.MustCLI("job", "stop", "-detach", "-purge", "alone")
	s.clean(id)
}

// TestTwoPluginsOfferOneMode: of two plugins that offer the same mode the first is used and the other says so; what else it
// offers works, and its failures are the allocations' reasons.
func TestTwoPluginsOfferOneMode(t *testing.T) {
	t.Parallel()
	s := newSite(t, `
plugin "drover-network-mock" {
  config { modes = ["bridge", "mock"] }
}`)
	if out, err := exec.Command("cp", filepath.Join(harness.Bin(t), "examples", "drover-network-mock"), s.plugins).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.boot()
	s.untilMode("mock", "")
	modes, err := s.modes()
	if err != nil {
		t.Fatal(err)
	}
	owners := map[string]string{}
	for _, m := range modes {
		owners[m.Mode] += m.Plugin
	}
	if owners["bridge"] != "cni" || owners["mock"] != "mock-network" {
		t.Errorf("the modes come from %v", owners)
	}
	s.Eventually(20*time.Second, "the overruled plugin says so", func() error {
		out := s.MustCLI("plugin", "list")
		if !strings.Contains(out, "network mode bridge is also offered by drover-network-cni, which is used") {
			return fmt.Errorf("list:\n%s", out)
		}
		return nil
	})
	fail := "cni {\n args = { setup_error = \"the switch is off\" }\n }"
	s.fails("fails", "mock", fail, "the switch is off")
	s.RunJob(fmt.Sprintf(single, "both", "bridge", "}\n network {\n mode = \"mock\"", "exec"), "-detach")
	al := s.WaitAllocs("both", 1, "failed", time.Minute)[0]
	if text := fmt.Sprint(al.TaskStates["t"].Events); !strings.Contains(text, "come from different plugins (cni, mock-network)") {
		t.Errorf("networks of two plugins in one group: %s", text)
	}
	s.clean(al.ID)
}
