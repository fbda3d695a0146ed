package pluginhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/droverhq/drover/core/pluginhost/discovery"
	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/core/tasklog"
)

// family is everything that goes by one file name in plugin_dir. Its fields are guarded by the host's lock.
type family struct {
	host *Host
	file string // base name

	entry       discovery.Entry // as seen by the last scan
	unsettled   bool            // it changed; it is looked at when it has not changed for one scan
	retryAt     time.Time       // when to look again at a file that something passing, such as a full disk, kept out
	state       lifecycle.File
	refusal     string // why the file that is there now is not used; what runs, runs on
	refusedAt   time.Time
	approved    string // digest that an operator reloaded by hand
	generations []*generation

	stopTail context.CancelFunc // of re-logging its stderr
}

// name is how an operator's block names the file.
func (f *family) name() string { return discovery.Entry{File: f.file}.Name() }

// runDir holds its FIFO and its generations' sockets. The name is short because a socket's path is.
func (f *family) runDir() string {
	sum := sha256.Sum256([]byte(f.file))
	return filepath.Join(f.host.config.RunDir, "p", hex.EncodeToString(sum[:4]))
}

// generationDir is the private directory of a generation's sockets.
func (f *family) generationDir(number uint64) string {
	return filepath.Join(f.runDir(), fmt.Sprint(number))
}

func (f *family) logPrefix() string    { return f.file + ".stderr" }
func (f *family) stderrFIFO() string   { return filepath.Join(f.runDir(), "err") }
func (f *family) stderrStream() string { return "plugin/" + f.file + "/stderr" }

func (g *generation) stdoutStream() string {
	return fmt.Sprintf("plugin/%s/%d/stdout", g.family.file, g.number)
}

// stdoutPrefix begins the names of the files of what a generation prints.
func (g *generation) stdoutPrefix() string {
	return fmt.Sprintf("%s-%d.stdout", g.family.file, g.number)
}

// collectStderr has the collector read the family's stderr. It may be repeated.
func (f *family) collectStderr(ctx context.Context) error {
	if f.host.config.Collector == nil {
		return nil
	}
	return f.host.config.Collector.OpenStream(ctx, tasklog.Stream{
		ID: f.stderrStream(), FIFO: f.stderrFIFO(), Dir: f.host.logDir(), Prefix: f.logPrefix(), MaxFiles: 3, Mode: 0o600,
		MaxRate: 1 << 20, // a plugin that writes more waits, as costs nobody else
	})
}

// logs reads what its processes wrote to stderr.
func (f *family) logs() *tasklog.Reader { return tasklog.NewReader(f.host.logDir(), f.logPrefix()) }

// stderrMark is where its stderr ends now; nil = nothing was written yet.
func (f *family) stderrMark() *tasklog.Position {
	files, err := f.logs().Files()
	if err != nil || len(files) == 0 {
		return nil
	}
	last := files[len(files)-1]
	return &tasklog.Position{Index: last.Index, Offset: last.Size}
}

// stderrSince returns what was written since the mark; it waits a moment for the collector.
func (f *family) stderrSince(mark *tasklog.Position) string {
	const most = 16 << 10
	var text []byte
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeout(context.Background(), stderrLag)
	defer cancel()
	for len(text) == 0 && ctx.Err() == nil {
		_ = f.logs().Read(ctx, tasklog.ReadOptions{From: mark}, func(c tasklog.Chunk) error {
			text = append(text, c.Data...)
			if len(text) > most {
				return enough
			}
			return nil
		})
		if len(text) == 0 {
			_ = pause(ctx, stderrLag/10)
		}
	}
	return string(text[:min(len(text), most)])
}

// members are the generations as the pure part sees them.
func (f *family) members() []lifecycle.Member {
	var list []lifecycle.Member
	for _, g := range f.generations {
		m := &g.machine
		list = append(list, lifecycle.Member{
			Number: g.number, Digest: g.digest, Usable: m.Usable() && g.session != nil, Healthy: m.Shown.Healthy,
			Leaving: m.Leaving != "" || g.handedTo != 0, Dead: m.Final() || g.handedTo != 0,
			Offers: g.offers, Moving: g.moving, Starting: m.Coming(),
		})
	}
	return list
}

func (f *family) generation(number uint64) *generation {
	for _, g := range f.generations {
		if g.number == number {
			return g
		}
	}
	return nil
}

// current is the generation that takes new tasks; nil = none.
func (f *family) current() *generation {
	return f.generation(lifecycle.Current(f.members(), f.policy()))
}

// holder is the generation that has the tasks which a generation started; nil = it is gone.
func (f *family) holder(number uint64) *generation {
	g := f.generation(number)
	for g != nil && g.handedTo != 0 {
		g = f.generation(g.handedTo)
	}
	return g
}

// shown is the generation whose state counts for the driver: a healthy one, else the newest that is not leaving, else
// the newest. One that is about to take another's tasks does not count before it has them.
func (f *family) shown() *generation {
	var best *generation
	members, policy := f.members(), f.policy()
	for i, g := range f.generations {
		switch {
		case lifecycle.Waits(members, i, policy):
		case best == nil,
			g.machine.Leaving == "" && best.machine.Leaving != "",
			g.machine.Leaving == "" && (g.machine.Shown.Healthy || !best.machine.Shown.Healthy):
			best = g
		}
	}
	return best
}

// policy is what a changed file does; empty = what the plugins offer.
func (f *family) policy() lifecycle.Policy {
	b, err := f.host.blocks.match(f.name(), f.reported())
	switch {
	case err != nil:
		return lifecycle.PolicyDrain
	case b.Upgrade == lifecycle.PolicyManual && f.approved != "" && f.approved == f.state.Digest:
		return "" // an operator said reload
	}
	return b.Upgrade
}

// waitsForReload reports whether the file that is there is not used before an operator says so.
func (f *family) waitsForReload() bool {
	if f.policy() != lifecycle.PolicyManual || !f.state.Present || f.state.Digest == "" {
		return false
	}
	alive := false
	for _, m := range f.members() {
		if m.Digest == f.state.Digest && (!m.Dead || !m.Leaving) {
			return false
		}
		alive = alive || !m.Dead
	}
	return alive
}

// reported is what the plugin calls itself, guessed while it is not known.
func (f *family) reported() string {
	for i := len(f.generations) - 1; i >= 0; i-- {
		if name := f.generations[i].name; name != "" {
			return name
		}
	}
	return guessName(f.name())
}
