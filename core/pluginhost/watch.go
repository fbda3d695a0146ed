package pluginhost

import (
	"context"
	"errors"
	"io/fs"
	"sort"
	"time"

	"github.com/droverhq/drover/core/pluginhost/discovery"
	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/core/pluginhost/trust"
)

// retryCopy is after how many scans a file is looked at again that could not be copied to the store.
const retryCopy = 10

// look watches plugin_dir until the host stops. It looks at the directory instead of asking for notices, because those
// do not exist on every file system and a look at a handful of files costs nothing.
func (h *Host) look() {
	ticker := time.NewTicker(h.config.Limits.Scan)
	defer ticker.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
			h.scan(false)
		case <-h.reviewKick:
		}
		h.decide()
		if h.copiesLeft.Swap(false) {
			h.prune()
		}
	}
}

// review asks for a decision soon. It may be called with the lock held.
func (h *Host) review() {
	select {
	case h.reviewKick <- struct{}{}:
	default:
	}
}

// scan compares plugin_dir with what is known. A changed file is taken up when it has not changed for one scan: it may
// be in the middle of being copied. At the start there is no time to wait for that.
func (h *Host) scan(first bool) {
	entries, err := discovery.Scan(h.config.PluginDir)
	h.noteDir(err)
	if err != nil { // what runs, runs on: a directory that is away for a moment takes no driver with it
		h.mu.Lock()
		h.scanned = true
		h.mu.Unlock()
		h.changed()
		return
	}
	var check []*family
	seen := map[string]bool{}
	h.mu.Lock()
	for _, e := range entries {
		seen[e.File] = true
		f := h.familyOf(e.File)
		changed := !f.entry.Same(e)
		f.entry = e
		switch {
		case changed && !first:
			f.unsettled = true
		case changed || f.unsettled:
			f.unsettled = false
			check = append(check, f)
		case !f.retryAt.IsZero() && h.now().After(f.retryAt):
			check = append(check, f)
		}
	}
	for _, f := range h.families {
		if seen[f.file] || (!f.state.Present && !f.state.Since.IsZero()) {
			continue
		}
		f.entry, f.unsettled, f.refusal = discovery.Entry{}, false, ""
		f.state = lifecycle.File{Since: h.now()}
	}
	h.mu.Unlock()
	for _, f := range check {
		h.verify(f)
	}
	h.mu.Lock()
	h.scanned = true
	h.mu.Unlock()
	if first || len(check) > 0 {
		h.changed()
	}
	if first {
		h.decide()
	}
}

// noteDir reports trouble with plugin_dir itself, once.
func (h *Host) noteDir(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	h.mu.Lock()
	before := h.dirError
	if text != before {
		h.dirError, h.dirErrorAt = text, time.Now()
	}
	h.mu.Unlock()
	if text != before {
		h.changed()
	}
	switch {
	case text == before:
	case err == nil:
		h.log.Info("plugin_dir can be read again", "plugin_dir", h.config.PluginDir)
	case errors.Is(err, fs.ErrNotExist):
		h.log.Warn("plugin_dir does not exist; there are no plugins until it does", "plugin_dir", h.config.PluginDir)
	default:
		h.log.Error("no plugin is loaded from plugin_dir", "plugin_dir", h.config.PluginDir, "error", err)
	}
}

// familyOf returns the family of a file, made if there is none. The lock is held.
func (h *Host) familyOf(file string) *family {
	f := h.families[file]
	if f == nil {
		f = &family{host: h, file: file}
		h.families[file] = f
	}
	return f
}

// verify decides on trust and copies the file to the store.
func (h *Host) verify(f *family) {
	digest, err := "", error(nil)
	if f.entry.Refusal != "" {
		err = errors.New(f.entry.Refusal)
	} else {
		digest, err = h.copyToStore(f)
	}
	h.distrust(f)
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if !f.state.Present || f.state.Digest != digest {
		f.state = lifecycle.File{Present: true, Digest: digest, Since: now}
	}
	before := f.refusal
	f.refusal, f.retryAt = "", time.Time{}
	if err != nil {
		f.refusal = err.Error()
		if f.entry.Refusal == "" && !errors.Is(err, trust.ErrRefused) {
			f.retryAt = now.Add(retryCopy * h.config.Limits.Scan) // no room in the store, a read error: nothing about the file will change
		}
	}
	if err != nil && f.refusal != before {
		f.refusedAt = now
		h.log.Warn("file in plugin_dir is not loaded", "file", f.file, "reason", f.refusal)
		h.emit(nodeEvent("Plugin", "Plugin file "+f.file+" is not loaded", map[string]string{"file": f.file, "reason": f.refusal}))
	}
}

// copyToStore checks the file and its signature and takes it over. What it decides on is the digest of the bytes that
// will run.
func (h *Host) copyToStore(f *family) (string, error) {
	src, err := discovery.Open("plugin_dir", f.entry.Path)
	if err != nil {
		return "", err
	}
	defer src.Close()
	signature, err := discovery.ReadSignature(f.entry.Path)
	if err != nil {
		return "", err
	}
	h.mu.Lock()
	reported := f.reported()
	h.mu.Unlock()
	digest, _, err := h.store.Put(src, f.file, signature, func(digest string) error {
		_, err := h.trusts(f, reported, digest, signature)
		return err
	})
	return digest, err
}

// decide asks the pure part what every family should do, and does it.
func (h *Host) decide() {
	type order struct {
		g     *generation
		event lifecycle.Event
	}
	type pair struct{ old, next *generation }
	var passages []pair
	var orders []order
	var begin []*generation
	h.mu.Lock()
	if h.ctx.Err() != nil {
		h.mu.Unlock()
		return
	}
	for _, name := range sortedKeys(h.families) {
		f := h.families[name]
		if f.state.Since.IsZero() {
			continue // plugin_dir could not be read since the start
		}
		for _, m := range lifecycle.Choose(f.state, f.members(), f.policy(), h.now()) {
			g := f.generation(m.Number)
			switch m.Kind {
			case lifecycle.MoveCreate:
				g = newGeneration(f, m.Number, f.state.Digest)
				f.generations = append(f.generations, g)
				begin = append(begin, g)
			case lifecycle.MoveDrain:
				orders = append(orders, order{g, lifecycle.Event{Kind: lifecycle.Drain, Reason: m.Reason}})
			case lifecycle.MoveResume:
				orders = append(orders, order{g, lifecycle.Event{Kind: lifecycle.Resume}})
			case lifecycle.MoveHandOver:
				next := f.generation(m.To)
				if (g.restored || next.restored) && !h.recovered {
					continue // what the tasks are shows when the node has found its own again
				}
				g.moving, next.moving = true, true
				passages = append(passages, pair{g, next})
			case lifecycle.MoveWait: // the next scan asks again
			}
		}
		for _, g := range h.tidy(f) {
			orders = append(orders, order{g, lifecycle.Event{Kind: lifecycle.Restart, Reason: "the other file of that name is gone"}})
		}
	}
	h.mu.Unlock()
	for _, g := range begin {
		h.begin(g)
	}
	for _, o := range orders {
		o.g.post(o.event)
	}
	for _, p := range passages {
		h.background.Go(func() { h.handOver(p.old, p.next) })
	}
}

// begin starts a generation's goroutine and the re-logging of its family.
func (h *Host) begin(g *generation) {
	h.mu.Lock()
	if g.family.stopTail == nil {
		ctx, cancel := context.WithCancel(h.ctx)
		g.family.stopTail = cancel
		h.background.Go(func() { g.family.relog(ctx) })
	}
	h.mu.Unlock()
	h.background.Go(g.run)
}

// tidy forgets generations that are over, and the family when nothing is left of it. It returns what was refused only
// because of this family and may be tried again. The lock is held.
func (h *Host) tidy(f *family) []*generation {
	var kept []*generation
	for i, g := range f.generations {
		m := &g.machine
		newest := i == len(f.generations)-1
		failed := m.State == lifecycle.Failed && m.Final()
		switch {
		case m.State == lifecycle.Retired && (!newest || !f.state.Present):
		case failed && (!newest || !f.state.Present) && len(g.tasks) == 0:
			g.cancel()
		default:
			kept = append(kept, g)
		}
	}
	fewer := len(kept) < len(f.generations)
	f.generations = kept
	if fewer {
		h.copiesLeft.Store(true)
	}
	gone := len(kept) == 0 && !f.state.Present && h.now().Sub(f.state.Since) >= lifecycle.RemoveGrace
	if gone {
		delete(h.families, f.file)
		if f.stopTail != nil {
			f.stopTail()
		}
		if err := f.removeDirs(); err != nil { // before a file of this name comes back
			h.log.Warn("plugin's run directory is not removed", "file", f.file, "error", err)
		}
		h.background.Go(func() { h.closeStreams(h.ctx, f) })
	}
	if fewer || gone {
		h.changedLocked()
	}
	return h.freeClaims(f)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
