package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/sdk/schema"
)

// callContext is for short calls that the host makes of its own accord, while it stops too.
func (h *Host) callContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(h.ctx), h.config.Limits.Call)
}

// Reload takes over the operator's blocks. They are checked by the schemas of the plugins that run, and if one is wrong
// nothing is changed and the error names all that is wrong. Plugins whose block changed are restarted; the node
// recovers their tasks. Plugins that had failed are tried again.
func (h *Host) Reload(ctx context.Context, list []Block) error {
	next, err := newBlocks(list)
	if err != nil {
		return wrongBlock{err}
	}
	h.mu.Lock()
	asked := h.nextTrust
	var families []*family
	for _, f := range h.families {
		families = append(families, f)
	}
	h.mu.Unlock()
	return h.reload(ctx, families, next, asked)
}

// ReloadPlugin is Reload for one plugin, by the name it reports or its file's, and for its blocks only. It is also the
// word that a changed file waits for under upgrade = "manual".
func (h *Host) ReloadPlugin(ctx context.Context, list []Block, name string) error {
	f := h.find(name)
	if f == nil {
		return fmt.Errorf("plugin %q: %w", name, ErrUnknownPlugin)
	}
	all, err := newBlocks(list)
	if err != nil {
		return wrongBlock{err}
	}
	h.mu.Lock()
	next, asked := maps.Clone(h.blocks), h.trust
	for _, label := range []string{f.name(), f.reported()} {
		delete(next, label)
		if b, ok := all[label]; ok {
			next[label] = b
		}
	}
	h.mu.Unlock()
	if err := h.reload(ctx, []*family{f}, next, asked); err != nil {
		return err
	}
	h.mu.Lock()
	f.approved = f.state.Digest
	h.mu.Unlock()
	h.changed()
	return nil
}

// reload checks the blocks for the families and takes them over.
func (h *Host) reload(ctx context.Context, families []*family, next blocks, asked Trust) error {
	var all []*generation
	h.mu.Lock()
	for _, f := range families {
		for _, g := range f.generations {
			if g.machine.State != lifecycle.Retired && g.handedTo == 0 {
				all = append(all, g)
			}
		}
	}
	h.mu.Unlock()
	var restart []*generation
	var errs []error
	for _, g := range all {
		changed, err := h.checkBlock(ctx, g, next)
		if err != nil {
			errs = append(errs, err)
		} else if changed {
			restart = append(restart, g)
		}
	}
	if err := asked.check(next); err != nil {
		errs = append(errs, wrongBlock{err})
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	h.mu.Lock()
	h.blocks, h.trust = next, asked
	for _, f := range families {
		f.unsettled = f.unsettled || f.present() // the next scan looks at it by the new rules
	}
	h.mu.Unlock()
	for _, g := range restart {
		g.post(lifecycle.Event{Kind: lifecycle.Restart, Reason: "its configuration changed"})
	}
	return nil
}

// checkBlock reports whether a generation has to be restarted for the new blocks, and what is wrong with them.
func (h *Host) checkBlock(ctx context.Context, g *generation, next blocks) (changed bool, err error) {
	h.mu.Lock()
	s, name, failed := g.session, g.name, g.machine.State == lifecycle.Failed
	h.mu.Unlock()
	if name == "" {
		name = guessName(g.family.name())
	}
	block, err := next.match(g.family.name(), name)
	if err != nil {
		return false, wrongBlock{err}
	}
	if s == nil {
		return failed, nil
	}
	if s.block.digest() == block.digest() {
		return false, nil
	}
	var spec *schema.Spec
	err = within(ctx, h.config.Limits.Call, func(ctx context.Context) (err error) {
		spec, err = s.client.ConfigSchema(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("plugin %q: %w", name, err)
	}
	if _, err = encodeConfig(spec, block, name); err != nil {
		return true, wrongBlock{err}
	}
	return true, nil
}

// wrongBlock is an ErrBlock with its own text.
type wrongBlock struct{ error }

func (e wrongBlock) Unwrap() error      { return e.error }
func (wrongBlock) Is(target error) bool { return target == ErrBlock }

// freshFor is how long after its file was seen a plugin may still lose its name to another file that was there too.
const freshFor = 30 * time.Second
