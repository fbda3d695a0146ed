//go:build linux

package pluginhost

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/pluginhost/trust"
)

// signer is a key pair of a test.
type signer struct {
	t      *testing.T
	key    ed25519.PrivateKey
	public ed25519.PublicKey
}

func newSigner(t *testing.T) signer {
	t.Helper()
	k, err := trust.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return signer{t, k, k.Public().(ed25519.PublicKey)}
}

// sign makes the signature file of what lies at path now.
func (s signer) sign(path string) []byte {
	s.t.Helper()
	sig, err := trust.Sign(s.key, digestOf(s.t, path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return sig
}

func digestOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Every file that must not run is listed with the reason and told of as a node event; a good plugin beside them works.
func TestUntrustedFiles(t *testing.T) {
	r := newRoom(t)
	release, stranger := newSigner(t), newSigner(t)
	r.config.Trust = Trust{Require: trust.Signature, Keys: trust.Keys{"release": release.public}}
	want := map[string]string{}
	bad := func(file, reason string) string { want[file] = reason; return file }
	signed := func(file string, sig []byte) { r.write(file+".sig", string(sig), 0o644) }

	path := r.plugin(bad("wrong-pin", "its plugin block pins "+strings.Repeat("0", 64)))
	signed("wrong-pin", release.sign(path))
	r.config.Blocks = append(r.config.Blocks, Block{Name: "wrong-pin", SHA256: []string{strings.Repeat("0", 64)}})
	r.plugin(bad("no-pin", "has no sha256"))
	r.config.Blocks = append(r.config.Blocks, Block{Name: "no-pin", Require: trust.Pin})
	r.plugin(bad("unsigned", "it is not signed"))
	path = r.plugin(bad("wrong-key", "not trusted here; trusted keys: release"))
	signed("wrong-key", stranger.sign(path))
	path = r.plugin(bad("truncated", "cut short"))
	signed("truncated", release.sign(path)[:100])
	path = r.plugin(bad("changed", "changed after it was signed"))
	sig := release.sign(path)
	r.plugin("changed", "T_VERSION=6.6.6")
	signed("changed", sig)
	path = r.plugin(bad("linked-signature", "signature file"))
	if err := os.Symlink("/etc/passwd", path+".sig"); err != nil {
		t.Fatal(err)
	}
	r.write(bad("huge", "more than the limit of"), "#!/bin/sh\n", 0o755)
	if err := os.Truncate(filepath.Join(r.config.PluginDir, "huge"), 1<<30+1); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(r.config.PluginDir, bad("folder", "is a directory")), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(r.config.PluginDir, bad("pipe", "named pipe")), 0o755); err != nil {
		t.Fatal(err)
	}
	r.write(bad("open", "can be written by everybody"), "#!/bin/sh\n", 0o777)
	if os.Geteuid() == 0 {
		path = r.plugin(bad("foreign", "belongs to user 12345"))
		if err := os.Chown(path, 12345, 0); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mknod(filepath.Join(r.config.PluginDir, "device"), syscall.S_IFCHR|0o755, 1<<8|3); err == nil {
			bad("device", "a device")
		}
	}
	path = r.plugin("good", "T_NAME=good")
	signed("good", release.sign(path))

	h := r.start()
	d := r.ready(h, "good")
	events := map[string]*model.NodeEvent{}
	for len(events) < len(want) {
		select {
		case e := <-h.Events():
			if e.Details["reason"] != "" {
				events[e.Details["file"]] = e
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%d of %d events", len(events), len(want))
		}
	}
	s, _ := h.Watch()
	for file, reason := range want {
		if p := info(s, file, 0); p.State != "failed" || !strings.Contains(p.Reason, reason) || p.PID != 0 {
			t.Errorf("%s: %s, reason %q, want %q", file, p.State, p.Reason, reason)
		}
		if e := events[file]; e == nil || !strings.Contains(e.Details["reason"], reason) {
			t.Errorf("%s: event %+v", file, e)
		}
	}
	if p := info(s, "good", 1); p.Trust != "signed by release" {
		t.Errorf("trust of the good one: %q", p.Trust)
	}
	if _, err := d.StartTask(t.Context(), r.task(d, "t", nil)); err != nil {
		t.Error(err)
	}
}

// What was checked is what runs: the file is swapped after the check and before the launch, with a launch held back in
// between by another plugin's.
func TestSwapBetweenCheckAndLaunch(t *testing.T) {
	r := newRoom(t)
	release := newSigner(t)
	r.config.Trust = Trust{Require: trust.Signature, Keys: trust.Keys{"release": release.public}}
	r.config.Limits.Launches = 1
	gate := filepath.Join(r.dir, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	path := r.script("a-gate", "read line < "+gate+"; exit 3")
	r.write("a-gate.sig", string(release.sign(path)), 0o644)
	h := r.start()
	r.until(h, "the gate is closed", func(s *Snapshot) bool { return info(s, "a-gate", 1).State == "starting" })

	path = r.plugin("test", "T_VERSION=1.0.0")
	r.write("test.sig", string(release.sign(path)), 0o644)
	r.until(h, "checked", func(s *Snapshot) bool { return info(s, "test", 1).Generation == 1 })
	r.plugin("test", "T_VERSION=6.6.6") // its signature is the first one's
	r.until(h, "the swap is refused", func(s *Snapshot) bool {
		for _, p := range s.Plugins {
			if p.File == "test" && strings.Contains(p.Reason, "changed after it was signed") {
				return true
			}
		}
		return false
	})
	if err := os.WriteFile(gate, []byte("open\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if d := r.ready(h, "test"); d.Version() != "1.0.0" {
		t.Errorf("version %s runs", d.Version())
	}
}

// A file that only something passing keeps out of the store, such as a full disk, is taken up once that is over.
func TestStoreWithoutRoom(t *testing.T) {
	r := newRoom(t)
	path := r.plugin("test")
	store := filepath.Join(r.config.DataDir, "plugin-store")
	if err := os.MkdirAll(store, 0o700); err != nil {
		t.Fatal(err)
	}
	obstacle := filepath.Join(store, digestOf(t, path)) // where the copy's directory should be
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := r.start()
	r.until(h, "the reason is told", func(s *Snapshot) bool { return info(s, "test", 0).Reason != "" })
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	r.ready(h, "test")
}

// A copy in the store that no longer is what was checked is not launched.
func TestTamperedStoreCopy(t *testing.T) {
	r := newRoom(t)
	path := r.plugin("test")
	h := r.start()
	d := r.ready(h, "test")
	digest := digestOf(t, path)
	copied := filepath.Join(r.config.DataDir, "plugin-store", digest, "test")
	if err := os.WriteFile(copied+"2", []byte("#!/bin/sh\ntouch "+r.dir+"/evil\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(copied+"2", copied); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(d.Pid(), syscall.SIGKILL)
	s := r.until(h, "refusal", func(s *Snapshot) bool { return info(s, "test", 1).State == "failed" })
	if reason := info(s, "test", 1).Reason; !strings.Contains(reason, "was changed: its digest is") {
		t.Errorf("reason %q", reason)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "evil")); err == nil {
		t.Error("it ran")
	}
}

// A block by the name that a plugin reports applies under whatever name its file goes.
func TestPinAppliesToTheReportedName(t *testing.T) {
	r := newRoom(t)
	r.config.Blocks = []Block{{Name: "test", SHA256: []string{strings.Repeat("0", 64)}}}
	r.plugin("innocent")
	h := r.start()
	s := r.until(h, "refusal", func(s *Snapshot) bool { return info(s, "innocent", 1).State == "failed" })
	if reason := info(s, "innocent", 1).Reason; !strings.Contains(reason, "its plugin block pins") || s.Drivers["test"] != nil {
		t.Errorf("reason %q, drivers %v", reason, s.Drivers)
	}
}

// A key that is taken away: what runs under it takes no new tasks and is not ended. Given back, it goes on.
func TestRevokedKey(t *testing.T) {
	r := newRoom(t)
	release := newSigner(t)
	good := Trust{Require: trust.Signature, Keys: trust.Keys{"release": release.public}}
	r.config.Trust = good
	path := r.plugin("test")
	r.write("test.sig", string(release.sign(path)), 0o644)
	h := r.start()
	h.Recovered()
	d := r.ready(h, "test")
	if _, err := d.StartTask(t.Context(), r.task(d, "t", nil)); err != nil {
		t.Fatal(err)
	}
	h.SetTrust(Trust{Require: trust.Signature, Keys: trust.Keys{"next": newSigner(t).public}})
	if err := h.Reload(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	s := r.until(h, "draining", func(s *Snapshot) bool { return info(s, "test", 1).State == "draining" })
	if p := info(s, "test", 1); p.PID != d.Pid() || p.TaskCount != 1 || !strings.Contains(p.Reason, "not trusted here") {
		t.Errorf("%+v", p)
	}
	h.SetTrust(good)
	if err := h.Reload(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if again := r.ready(h, "test"); again.Pid() != d.Pid() {
		t.Errorf("pid %d, was %d", again.Pid(), d.Pid())
	}
	// What cannot be met changes nothing.
	h.SetTrust(Trust{Require: "loud"})
	if err := h.Reload(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "loud") {
		t.Errorf("got %v", err)
	}
}
