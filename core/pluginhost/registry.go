package pluginhost

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/core/pluginhost/process"
	"github.com/droverhq/drover/sdk/plugin"
)

// restore makes the generations of an earlier agent anew. Whether their processes live shows when they are started.
func (h *Host) restore(records map[string]Record) {
	var all []*generation
	h.mu.Lock()
	for _, key := range sortedKeys(records) {
		rec := records[key]
		if rec.File == "" || rec.File != filepath.Base(rec.File) || rec.Generation == 0 {
			continue
		}
		if rec.Type == plugin.TypeDevice.String() {
			h.endLeftover(rec)
			continue
		}
		f := h.familyOf(rec.File)
		if rec.Taking {
			h.endLeftover(rec)
			rec.Taking, rec.Process = false, process.Identity{}
		}
		g := newGeneration(f, rec.Generation, rec.SHA256)
		g.handedTo, g.offers = rec.HandedTo, rec.Offers
		g.restored, g.name, g.version, g.kind = true, rec.Name, rec.Version, rec.Type
		g.machine.Leaving = rec.Leaving
		g.machine.Tasks = g.taskCountLocked()
		f.generations = append(f.generations, g)
		slices.SortFunc(f.generations, func(a, b *generation) int { return int(a.number) - int(b.number) })
		h.records[key] = rec
		if rec.Name != "" && h.claims[claim(rec.Type, rec.Name)] == nil {
			h.claims[claim(rec.Type, rec.Name)] = f
		}
		all = append(all, g)
	}
	h.mu.Unlock()
	for _, g := range all {
		h.begin(g)
	}
}

// endLeftover ends a process of an earlier agent that is not taken up again: it is launched anew.
func (h *Host) endLeftover(rec Record) {
	p, err := process.Find(rec.Process)
	if err == nil {
		err = p.Kill()
	}
	if err != nil && !errors.Is(err, process.ErrGone) {
		h.log.Warn("plugin of an earlier agent is not ended", "plugin", rec.Name, "pid", rec.Process.PID, "error", err)
		return
	}
	if err := os.RemoveAll(h.familyOf(rec.File).generationDir(rec.Generation)); err != nil {
		h.log.Warn("plugin's socket directory is not removed", "plugin", rec.Name, "error", err)
	}
}

// prune removes store copies that nothing refers to. It must not run beside a scan, which copies first and refers later.
func (h *Host) prune() {
	keep := map[string]bool{}
	h.mu.Lock()
	for _, f := range h.families {
		for _, g := range f.generations {
			keep[g.digest] = true
		}
		keep[f.state.Digest] = true
	}
	h.mu.Unlock()
	if err := h.store.Prune(keep); err != nil {
		h.log.Warn("plugin store cannot be tidied", "error", err)
	}
}

// blockOf is the operator's block for a generation: by its file first, then by its name, guessed while it is not known.
func (h *Host) blockOf(g *generation) (Block, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.blockOfLocked(g)
}

func (h *Host) blockOfLocked(g *generation) (Block, error) {
	name := g.name
	if name == "" {
		name = guessName(g.family.name())
	}
	return h.blocks.match(g.family.name(), name)
}

// introduced notes what the plugin says it is.
func (g *generation) introduced(info plugin.Info) {
	h := g.family.host
	h.mu.Lock()
	defer h.mu.Unlock()
	g.name, g.version, g.kind = cut(info.Name, maxName), cut(info.Version, maxName), info.Type.String()
}

func claim(kind, name string) string { return kind + "/" + name }

// admit decides whether a plugin of that name may run: the operator's lists, and one file per name. The first file
// keeps a name; among files that were there at the start that is the first in alphabetical order.
func (h *Host) admit(g *generation, info plugin.Info) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.listed(info.Name); err != nil && info.Type == plugin.TypeDriver {
		return err
	}
	key := claim(info.Type.String(), info.Name)
	holder := h.claims[key]
	if holder == nil || holder == g.family {
		h.claims[key] = g.family
		return nil
	}
	if g.family.file < holder.file && holder.fresh() {
		h.claims[key] = g.family
		for _, other := range holder.generations {
			go other.post(lifecycle.Event{Kind: lifecycle.Restart, Reason: "another file reports the same name"})
		}
		return nil
	}
	g.conflict = true
	return final("two files report the %s name %q: %s and %s; remove one of them", info.Type, info.Name,
		filepath.Join(h.config.PluginDir, holder.file), filepath.Join(h.config.PluginDir, g.family.file))
}

// fresh reports whether nothing depends on the family yet. The lock is held.
func (f *family) fresh() bool {
	for _, g := range f.generations {
		if g.restored || len(g.tasks) > 0 || g.number != 1 || f.host.now().Sub(f.state.Since) > freshFor {
			return false
		}
	}
	return true
}

// listed applies driver.allowlist and driver.denylist.
func (h *Host) listed(name string) error {
	if list, ok := h.config.Options["driver.allowlist"]; ok && strings.TrimSpace(list) != "" && !inList(list, name) {
		return final("driver %q is not on driver.allowlist (%s)", name, list)
	}
	if inList(h.config.Options["driver.denylist"], name) {
		return final("driver %q is on driver.denylist", name)
	}
	return nil
}

func inList(list, name string) bool {
	for _, item := range strings.Split(list, ",") {
		if strings.TrimSpace(item) == name {
			return true
		}
	}
	return false
}

// freeClaims gives up the names that the family no longer uses, and returns what was refused because of them. The lock
// is held.
func (h *Host) freeClaims(f *family) []*generation {
	used := map[string]bool{}
	for _, g := range f.generations {
		if !g.machine.Final() {
			used[g.name] = true
		}
	}
	var again []*generation
	for key, holder := range h.claims {
		_, name, _ := strings.Cut(key, "/")
		if holder != f || used[name] || f.present() && len(f.generations) > 0 {
			continue
		}
		delete(h.claims, key)
		for _, other := range h.families {
			for _, g := range other.generations {
				if g.conflict && g.name == name {
					g.conflict = false
					again = append(again, g)
				}
			}
		}
	}
	return again
}

func (f *family) present() bool { return f.state.Present }

// record returns how to find a generation's process.
func (h *Host) record(g *generation) (Record, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rec, ok := h.records[recordKey(g.family.file, g.number)]
	return rec, ok && rec.Process.PID != 0
}

// remember stores how to find it again.
func (h *Host) remember(g *generation, s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.proc.Confirm()
	h.records[recordKey(g.family.file, g.number)] = Record{
		File: g.family.file, Generation: g.number, SHA256: g.digest,
		Name: s.info.Name, Type: s.info.Type.String(), Version: s.info.Version, APIVersion: s.apiVersion,
		Config: s.block.digest(), Network: s.network, Addr: s.addr, Cert: s.cert, Stdout: s.stdout, Process: s.proc.ID(),
		Started: s.started.Unix(), Leaving: g.machine.Leaving, Offers: s.offersHandOver(), HandedTo: g.handedTo,
	}
	h.saveRecords()
}

// rememberLeaving keeps an old generation from taking new tasks after a restart of the agent. The lock is held.
func (h *Host) rememberLeaving(g *generation) {
	key := recordKey(g.family.file, g.number)
	if rec, ok := h.records[key]; ok && rec.Leaving != g.machine.Leaving {
		rec.Leaving = g.machine.Leaving
		h.records[key] = rec
		h.saveRecords()
	}
}

// rememberTaking marks a generation that takes over tasks, before it is given any.
func (h *Host) rememberTaking(g *generation, taking bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := recordKey(g.family.file, g.number)
	if rec, ok := h.records[key]; ok && rec.Taking != taking {
		rec.Taking = taking
		h.records[key] = rec
		h.saveRecords()
	}
}

// rememberHandOver notes in one step that next has the tasks of old. The lock is held.
func (h *Host) rememberHandOver(old, next *generation) {
	key := recordKey(old.family.file, old.number)
	if rec, ok := h.records[key]; ok {
		rec.HandedTo = next.number
		h.records[key] = rec
	}
	key = recordKey(next.family.file, next.number)
	if rec, ok := h.records[key]; ok {
		rec.Taking = false
		h.records[key] = rec
	}
	h.saveRecords()
}

// forget removes the record and the directory of a generation that is over.
func (h *Host) forget(g *generation) {
	h.mu.Lock()
	delete(h.records, recordKey(g.family.file, g.number))
	h.saveRecords()
	h.mu.Unlock()
	if c := h.config.Collector; c != nil {
		ctx, cancel := g.family.host.callContext()
		defer cancel()
		if err := c.CloseStream(ctx, g.stdoutStream()); err != nil {
			g.log.Warn("plugin's stdout is not closed", "error", err)
		}
	}
	printed, _ := filepath.Glob(filepath.Join(h.logDir(), g.stdoutPrefix()+".*")) // the pattern is right
	for _, path := range printed {
		os.Remove(path) // what was printed to stdout is nobody's; upgrades must not fill the disk with it
	}
	if err := g.removeDirs(); err != nil {
		g.log.Warn("plugin's socket directory is not removed", "error", err)
	}
}

// saveRecords is called with the lock held: one writer at a time, in order.
func (h *Host) saveRecords() {
	if err := h.config.Records.Save(h.records); err != nil {
		h.log.Error("plugins could not be found again after a restart of the agent", "error", err)
	}
}
