package image

import (
	"fmt"

	"github.com/moby/moby/api/types/jsonstream"
)

// progress adds up what the engine says about an image's layers.
type progress struct {
	layers map[string]layer
	status string // of the whole image, before layers are known
}

type layer struct {
	status         string
	current, total int64
	done           bool
}

func newProgress() progress { return progress{layers: map[string]layer{}} }

// add takes one message and reports whether anything moved: a message that repeats itself is no progress.
func (p *progress) add(m jsonstream.Message) bool {
	if m.ID == "" {
		moved := p.status != m.Status
		p.status = m.Status
		return moved
	}
	old, known := p.layers[m.ID]
	l := layer{status: m.Status, current: old.current, total: old.total, done: m.Status == "Pull complete" || m.Status == "Already exists"}
	if m.Progress != nil && m.Progress.Total > 0 && m.Status == "Downloading" {
		l.current, l.total = m.Progress.Current, m.Progress.Total
	}
	if l.done || m.Status == "Download complete" {
		l.current = l.total
	}
	p.layers[m.ID] = l
	extracting := m.Progress != nil && m.Status == "Extracting"
	return !known || l != old || extracting
}

// String is a line such as "2/5 layers: 12.0 MiB of 40.1 MiB".
func (p *progress) String() string {
	var done int
	var current, total int64
	for _, l := range p.layers {
		if l.done {
			done++
		}
		current, total = current+l.current, total+l.total
	}
	const mib = 1 << 20
	return fmt.Sprintf("%d/%d layers: %.1f MiB of %.1f MiB", done, len(p.layers), float64(current)/mib, float64(total)/mib)
}
