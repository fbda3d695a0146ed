package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// How long the guest of a probe may take, and how much of the processor. It
// needs 0.1 s where the processor helps; what decides is the processor's time,
// which does not depend on how busy the node is.
const (
	probeWithin = 10 * time.Second
	probeCPU    = 1 // s
)

// probeAgainIn is when a failed probe is repeated: what was in the way may be
// gone.
const probeAgainIn = 10 * time.Minute

// prober tells whether guests run in kvm. That the device is there says
// little: on some machines it hangs, or is many times slower than emulation.
type prober struct {
	run func(ctx context.Context, program string) error
	// done is told of each result.
	done chan struct{}

	running sync.Mutex // one probe at a time

	mu      sync.Mutex
	asking  bool
	program string
	file    os.FileInfo
	device  os.FileInfo
	err     error
	at      time.Time
}

// errProbing is what is known before the first probe is through.
var errProbing = errors.New("whether guests run in kvm is being found out")

// kvmDevice is what QEMU opens.
const kvmDevice = "/dev/kvm"

// usable returns nil if guests of an emulator run in kvm, or why not. It runs
// a tiny guest when it meets the emulator for the first time.
func (p *prober) usable(ctx context.Context, e emulator) error {
	p.running.Lock()
	defer p.running.Unlock()
	known, err := p.known(e)
	if known {
		return err
	}
	file, err := os.Stat(e.Path)
	if err != nil {
		return err
	}
	device, err := os.Stat(kvmDevice)
	if err != nil {
		return err
	}
	err = p.run(ctx, e.Path)
	if ctx.Err() != nil {
		return ctx.Err() // nothing was learned
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.program, p.file, p.device, p.err, p.at = e.Path, file, device, err, time.Now()
	return err
}

// known is usable as far as it is known without a probe.
func (p *prober) known(e emulator) (bool, error) {
	if e.Name != hostEmulator() {
		return true, fmt.Errorf("kvm runs %s guests only on this node", hostEmulator())
	}
	device, err := os.Stat(kvmDevice)
	if err != nil {
		return true, fmt.Errorf("there is no %s", kvmDevice)
	}
	file, err := os.Stat(e.Path)
	if err != nil {
		return true, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	same := p.program == e.Path && sameFile(p.file, file) && os.SameFile(p.device, device)
	return same && (p.err == nil || time.Since(p.at) < probeAgainIn), p.err
}

// learn answers at once with what is known, and begins a probe if that is
// nothing or old. Its result is announced on done.
func (p *prober) learn(e emulator) error {
	known, err := p.known(e)
	if known {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.asking {
		p.asking = true
		go func() {
			_ = p.usable(context.Background(), e)
			p.mu.Lock()
			p.asking = false
			p.mu.Unlock()
			select {
			case p.done <- struct{}{}:
			default:
			}
		}()
	}
	if p.program == e.Path && p.err != nil {
		return p.err // of the probe before
	}
	return errProbing
}

// probe tells whether a guest runs in kvm.
func probe(ctx context.Context, program string) error { return runProbe(ctx, program, "kvm") }

// runProbe runs the guest of probeROM.
func runProbe(ctx context.Context, program, accelerator string) error {
	rom := probeROM()
	if rom == nil {
		return nil // no guest for this kind of processor: the device is trusted
	}
	dir, err := os.MkdirTemp("", "drover-qemu-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bios := filepath.Join(dir, "probe.bin")
	if err := os.WriteFile(bios, rom, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, program,
		"-machine", "type=pc,accel="+accelerator, "-m", "16M", "-display", "none", "-nodefaults", "-no-user-config", "-no-reboot",
		"-bios", bios, "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04")
	cmd.WaitDelay = time.Second
	type result struct {
		text string
		err  error
	}
	ended := make(chan result, 1)
	go func() {
		text, err := runBounded(cmd, probeCPU)
		ended <- result{text, err}
	}()
	var r result
	select {
	case r = <-ended:
	case <-time.After(probeWithin + 2*time.Second):
		return fmt.Errorf("a guest hung in %s and cannot be killed", accelerator) // inside the kernel
	}
	var exit *exec.ExitError
	switch {
	case r.err == nil:
		return fmt.Errorf("a guest in %s ended early", accelerator)
	case errors.As(r.err, &exit) && exit.ExitCode() == probeExit:
		return nil
	case errors.As(r.err, &exit) && exit.ExitCode() < 0: // by a signal: of the limit's or of ours
		return fmt.Errorf("a guest did not run in %s: it hangs, or is slower than emulation", accelerator)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(r.text), "\n")
	return fmt.Errorf("a guest did not start in %s: %w: %s", accelerator, r.err, line)
}

// choose decides what a machine runs in. wanted is QEMU's list of accelerators
// in order of preference, such as "kvm:tcg"; why is not empty if kvm was
// wanted and cannot be used.
func choose(wanted string, kvm func() error) (accelerator, why string) {
	var left []string
	for _, a := range strings.Split(wanted, ":") {
		if a == "kvm" {
			if err := kvm(); err != nil {
				why = err.Error()
				continue
			}
		}
		left = append(left, a)
	}
	if len(left) == 0 {
		left = []string{"tcg"}
	}
	return strings.Join(left, ":"), why
}
