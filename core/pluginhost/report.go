package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/tasklog"
	"github.com/droverhq/drover/sdk/plugin"
)

// report tells the operator of a step in a plugin's life: one line in the log, one event on the node.
func (h *Host) report(g *generation, text string) { h.reportMore(g, text, nil) }

// reportMore is report with more details, for programs.
func (h *Host) reportMore(g *generation, text string, more map[string]string) {
	h.mu.Lock()
	name, kind := g.name, g.kind
	h.mu.Unlock()
	details := map[string]string{"file": g.family.file, "generation": fmt.Sprint(g.number)}
	maps.Copy(details, more)
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

// What one plugin can put into the agent's log: so many lines in so long a time, of so many bytes each. Its own log has
// the rest.
const (
	relogLines  = 1000
	relogLine   = 200 // bytes; a longer one counts for several
	relogWindow = 10 * time.Second
	relogBytes  = 4 << 10
)

// errEnough ends the reading of what is too much.
var errEnough = errors.New("enough lines")

// relog repeats in the agent's log what the family's processes write to stderr, at the level they gave it.
func (f *family) relog(ctx context.Context) {
	log := f.host.log.Named(f.name())
	for {
		err := f.relogSome(ctx, log)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil || errors.Is(err, errEnough):
			log.Warn("plugin writes more than is repeated here; see drover plugin logs", "file", f.file, "silent_for", relogWindow)
			_ = pause(ctx, relogWindow)
		default:
			f.host.log.Warn("plugin's stderr is not repeated here", "file", f.file, "error", err)
			return
		}
	}
}

// relogSome goes on from the end of what is there until there was too much within a window, with errEnough, or ctx ends.
func (f *family) relogSome(ctx context.Context, log hclog.Logger) error {
	var lines tasklog.PluginLines
	n, since := 0, time.Now()
	return f.logs().FollowLines(ctx, tasklog.ReadOptions{Origin: tasklog.OriginEnd, Follow: true}, func(l tasklog.Line) error {
		if time.Since(since) >= relogWindow {
			n, since = 0, time.Now()
		}
		if n += 1 + len(l.Text)/relogLine; n > relogLines {
			return errEnough
		}
		p := lines.Parse(l.Text[:min(len(l.Text), relogBytes)])
		if p.Level == hclog.NoLevel {
			p.Level = hclog.Debug
		}
		fields := p.Fields
		if p.Module != "" {
			fields = append([]any{"module", p.Module}, fields...)
		}
		log.Log(p.Level, p.Message, fields...)
		return nil
	})
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
