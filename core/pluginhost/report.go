package pluginhost

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/tasklog"
	"github.com/droverhq/drover/sdk/plugin"
)

// report tells the operator of a step in a plugin's life: one line in the log, one event on the node.
func (h *Host) report(g *generation, text string) {
	h.mu.Lock()
	name, kind := g.name, g.kind
	h.mu.Unlock()
	details := map[string]string{"file": g.family.file, "generation": fmt.Sprint(g.number)}
	subsystem, subject := "Plugin", "Plugin "+g.family.file
	switch {
	case name == "":
	case kind == plugin.TypeDriver.String():
		details["driver_name"], subsystem, subject = name, "Driver", "Driver "+name
	default:
		details["plugin_name"], subject = name, "Plugin "+name
	}
	g.log.Info("plugin "+text, "name", name)
	h.emit(nodeEvent(subsystem, subject+" "+text, details))
}

// relogGap bounds what one plugin can put into the agent's log: a line per gap, after a burst. What comes faster is
// repeated later; the plugin's own log has it at once.
const (
	relogGap   = time.Millisecond
	relogBurst = 1000 // lines
)

// relog repeats in the agent's log what the family's processes write to stderr, at the level they gave it.
func (f *family) relog(ctx context.Context) {
	log := f.host.log.Named(f.name())
	var lines tasklog.PluginLines
	burst, since := 0, time.Now()
	err := f.logs().FollowLines(ctx, tasklog.ReadOptions{Origin: tasklog.OriginEnd, Follow: true}, func(l tasklog.Line) error {
		p := lines.Parse(l.Text)
		if p.Level == hclog.NoLevel {
			p.Level = hclog.Debug
		}
		fields := p.Fields
		if p.Module != "" {
			fields = append([]any{"module", p.Module}, fields...)
		}
		log.Log(p.Level, p.Message, fields...)
		if burst++; burst < relogBurst {
			return nil
		}
		wait := relogBurst*relogGap - time.Since(since)
		burst, since = 0, time.Now().Add(max(0, wait))
		return pause(ctx, wait)
	})
	if err != nil && ctx.Err() == nil {
		f.host.log.Warn("plugin's stderr is not repeated here", "file", f.file, "error", err)
	}
}

// PluginLogs calls fn with the lines that a plugin wrote to stderr, oldest first, and with follow goes on until ctx
// ends. name is the plugin's or its file's.
func (h *Host) PluginLogs(ctx context.Context, name string, follow bool, fn func(line []byte) error) error {
	f := h.find(name)
	if f == nil {
		return fmt.Errorf("plugin %q: %w", name, ErrUnknownPlugin)
	}
	return f.logs().FollowLines(ctx, tasklog.ReadOptions{Follow: follow}, func(l tasklog.Line) error { return fn(l.Text) })
}

// find looks a plugin up by the name it reports, then by its file.
func (h *Host) find(name string) *family {
	h.mu.Lock()
	defer h.mu.Unlock()
	var byFile *family
	for _, f := range h.families {
		for _, g := range f.generations {
			if g.name == name {
				return f
			}
		}
		if f.file == name || f.name() == name {
			byFile = f
		}
	}
	return byFile
}
