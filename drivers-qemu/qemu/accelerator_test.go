package qemu

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestChoose(t *testing.T) {
	broken := errors.New("a guest hung")
	for name, c := range map[string]struct {
		wanted string
		kvm    error
		want   string
		told   bool
	}{
		"emulation":      {"tcg", broken, "tcg", false},
		"kvm":            {"kvm", nil, "kvm", false},
		"kvm is broken":  {"kvm", broken, "tcg", true},
		"either":         {"kvm:tcg", nil, "kvm:tcg", false},
		"either, broken": {"kvm:tcg", broken, "tcg", true},
		"something else": {"xen", broken, "xen", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, why := choose(c.wanted, func() error { return c.kvm })
			if got != c.want || (why != "") != c.told {
				t.Fatalf("got %q %q, want %q", got, why, c.want)
			}
		})
	}
}

// The probe's guest is a right one: in emulation, where guests run, it comes
// through.
func TestProbeGuest(t *testing.T) {
	if probeROM() == nil {
		t.Skip("there is no guest for this architecture")
	}
	program, err := exec.LookPath(programPrefix + "x86_64")
	if err != nil {
		t.Fatalf("%v (.ci/deps installs it)", err)
	}
	if err := runProbe(t.Context(), program, "tcg"); err != nil {
		t.Fatal(err)
	}
	if err := runProbe(t.Context(), program, "no-such-accelerator"); err == nil {
		t.Fatal("ran in an accelerator that there is not")
	}
}

// A probe is run once for each emulator's file.
func TestProbeOnce(t *testing.T) {
	if _, err := os.Stat(kvmDevice); err != nil {
		t.Skip(err) // not a component: machines without help of the processor have none
	}
	e := emulator{Name: hostEmulator(), Path: filepath.Join(t.TempDir(), "qemu")}
	write := func(text string) {
		if err := os.WriteFile(e.Path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	runs, result := 0, errors.New("hung")
	p := prober{done: make(chan struct{}, 1), run: func(context.Context, string) error { runs++; return result }}
	if err := p.learn(e); err != errProbing {
		t.Fatalf("before the first probe: %v", err)
	}
	<-p.done
	for range 3 {
		if err := p.usable(t.Context(), e); err != result {
			t.Fatal(err)
		}
		if err := p.learn(e); err != result {
			t.Fatal(err)
		}
	}
	if runs != 1 {
		t.Fatalf("%d probes", runs)
	}
	write("another")
	result = nil
	if err := p.usable(t.Context(), e); err != nil || runs != 2 {
		t.Fatalf("after a replacement: %v, %d probes", err, runs)
	}
	if err := p.usable(t.Context(), emulator{Name: "pdp11"}); err == nil {
		t.Fatal("kvm runs a foreign guest")
	}
}
