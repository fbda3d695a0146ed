package pluginhost

import (
	"errors"
	"fmt"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/core/pluginhost/trust"
)

// Trust is what the agent asks of every plugin binary.
type Trust struct {
	Require trust.Level // for plugins whose block says nothing else; empty = none
	Keys    trust.Keys
}

// check reports what cannot be met, with the blocks.
func (t Trust) check(b blocks) error {
	if _, err := trust.ParseLevel(string(t.Require), trust.None); err != nil {
		return fmt.Errorf("plugin_trust: %w", err)
	}
	for _, name := range sortedKeys(b) {
		if _, err := t.policy(b[name]); err != nil {
			return fmt.Errorf("plugin %q: %w", name, err)
		}
	}
	return nil
}

// policy is what applies to a plugin with that block.
func (t Trust) policy(b Block) (trust.Policy, error) {
	level, err := trust.ParseLevel(string(t.Require), trust.None)
	if err == nil {
		level, err = trust.ParseLevel(string(b.Require), level)
	}
	for _, pin := range b.SHA256 {
		err = errors.Join(err, trust.CheckPin(pin))
	}
	return trust.Policy{Require: level, Pins: b.SHA256, Keys: t.Keys}, err
}

// trusts decides on a binary by its digest and signature file. reported is the plugin's name, or what it probably is.
// basis says what the trust rests on.
func (h *Host) trusts(f *family, reported, digest string, signature []byte) (basis string, err error) {
	h.mu.Lock()
	block, err := h.blocks.match(f.name(), reported)
	t := h.trust
	h.mu.Unlock()
	if err != nil {
		return "", err
	}
	policy, err := t.policy(block)
	if err != nil {
		return "", err
	}
	return policy.Check(digest, signature)
}

// trusted is trusts for the store's copy, which is what runs. It is asked before every launch and again when the plugin
// has said who it is, because its block may go by that name.
func (g *generation) trusted() error {
	h := g.family.host
	signature, err := h.store.Signature(g.digest, g.family.file)
	if err != nil {
		return fmt.Errorf("its signature cannot be read: %w", err)
	}
	h.mu.Lock()
	name := g.name
	h.mu.Unlock()
	if name == "" {
		name = guessName(g.family.name())
	}
	basis, err := h.trusts(g.family, name, g.digest, signature)
	h.mu.Lock()
	g.trust = basis
	h.mu.Unlock()
	return err
}

// distrust lets generations drain that run and would not be launched again: a pin or a key was taken away.
func (h *Host) distrust(f *family) {
	h.mu.Lock()
	var running []*generation
	for _, g := range f.generations {
		if g.machine.Leaving == "" && !g.machine.Final() {
			running = append(running, g)
		}
	}
	h.mu.Unlock()
	for _, g := range running {
		if err := g.trusted(); errors.Is(err, trust.ErrRefused) {
			g.post(lifecycle.Event{Kind: lifecycle.Drain, Reason: err.Error()})
		}
	}
}

// SetTrust says what the next Reload asks of binaries, if it succeeds.
func (h *Host) SetTrust(t Trust) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nextTrust = t
}
