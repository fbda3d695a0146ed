//go:build linux

package pluginhost

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/droverhq/drover/sdk/host"
)

// onTCP makes a plugin listen as plugins do on Windows.
const onTCP = "DROVER_PLUGIN_NETWORK=tcp"

// A plugin on TCP talks TLS with the agent that launched it and, because the key is kept, with the next agent; with
// nobody else.
func TestPluginOnTCP(t *testing.T) {
	r := newRoom(t)
	r.config.TLS = true
	r.plugin("test", onTCP)
	h := r.start()
	d := r.ready(h, "test")
	if _, err := d.StartTask(t.Context(), r.task(d, "t", nil)); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	g := h.families["test"].generations[0]
	h.mu.Unlock()
	rec, ok := h.record(g)
	if !ok || rec.Network != "tcp" || rec.Cert == "" {
		t.Fatalf("record %+v", rec)
	}
	if info, err := os.Stat(keyFile(r.config.DataDir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info, err)
	}
	if strings.Contains(h.Drivers()["test"].Attributes["driver.test.env"], "PRIVATE KEY") {
		t.Error("the plugin sees the agent's key")
	}
	stranger, err := host.NewCredentials()
	if err != nil {
		t.Fatal(err)
	}
	for who, options := range map[string][]host.DialOption{"plain text": nil, "a stranger": {host.WithTLS(stranger, rec.Cert)}} {
		c, err := host.Dial(t.Context(), host.Reattach{Network: rec.Network, Addr: rec.Addr}, options...)
		if err == nil {
			err = c.Ping(t.Context())
			c.Close()
		}
		if err == nil {
			t.Errorf("%s got through", who)
		}
	}
	r.stop(h, false)
	h = r.start()
	again := r.ready(h, "test")
	if again.Pid() != d.Pid() {
		t.Errorf("pid %d after the agent's restart, was %d", again.Pid(), d.Pid())
	}
	if _, err := again.InspectTask(t.Context(), "t"); err != nil {
		t.Error(err)
	}
	syscall.Kill(again.Pid(), syscall.SIGKILL)
	<-again.Done()
	if next, err := h.DriverOf(t.Context(), "test", 1); err != nil || next.Pid() == again.Pid() {
		t.Errorf("%+v, %v", next, err)
	}
}

// A key that others could have read is not used again: the plugin is launched anew.
func TestLooseKeyIsReplaced(t *testing.T) {
	r := newRoom(t)
	r.config.TLS = true
	r.plugin("test", onTCP)
	h := r.start()
	d := r.ready(h, "test")
	before, err := os.ReadFile(keyFile(r.config.DataDir))
	if err != nil {
		t.Fatal(err)
	}
	r.stop(h, false)
	if err := os.Chmod(keyFile(r.config.DataDir), 0o644); err != nil {
		t.Fatal(err)
	}
	h = r.start()
	if again := r.ready(h, "test"); again.Pid() == d.Pid() {
		t.Error("the process was reattached")
	}
	after, err := os.ReadFile(keyFile(r.config.DataDir))
	if err != nil || string(after) == string(before) {
		t.Errorf("the key was kept, %v", err)
	}
}

// Plugins that know nothing of TLS are used, and the operator is told. An address that others reach is refused.
func TestPluginsOnTCPWithoutTLS(t *testing.T) {
	r := newRoom(t)
	r.plugin("test", onTCP)
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r.script("open", "echo '1|2|tcp|"+l.Addr().String()+"|grpc|'; exec sleep 60")
	r.script("wants-tls", "echo '1|2|tcp|127.0.0.1:1|grpc|"+strings.Repeat("A", 80)+"'; exec sleep 60")
	h := r.start()
	r.ready(h, "test")
	for file, want := range map[string]string{"open": "plugins are to be reached from this machine only", "wants-tls": "TLS, which was not asked for"} {
		s := r.until(h, file+" fails", func(s *Snapshot) bool { return info(s, file, 1).State == "failed" })
		if reason := info(s, file, 1).Reason; !strings.Contains(reason, want) {
			t.Errorf("%s: %q", file, reason)
		}
	}
	for {
		select {
		case e := <-h.Events():
			if strings.Contains(e.Message, "listens on TCP without TLS") {
				return
			}
		default:
			t.Fatal("no event tells of it")
		}
	}
}

func TestLoopback(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:80": true, "localhost:80": true, "[::1]:80": true, "127.9.9.9:80": true,
		"0.0.0.0:80": false, "[::]:80": false, "192.0.2.1:80": false, "example.com:80": false, "nonsense": false, "": false,
	} {
		if err := checkLoopback(addr); (err == nil) != ok {
			t.Errorf("%q: %v", addr, err)
		}
	}
}
