package taskfiles

import (
	"context"
	"errors"
	"time"

	"github.com/droverhq/drover/core/node/taskfiles/protocol"
)

// downloads is how many artifacts a node fetches at a time.
const downloads = 3

// DefaultLimits are those of nodes that set none.
func DefaultLimits() protocol.Limits {
	return protocol.Limits{
		HTTPReadTimeout: int64(30 * time.Minute), HTTPMaxSize: 100 << 30, GitTimeout: int64(30 * time.Minute), Files: 4096, Size: 100 << 30,
	}
}

// ErrPermanent: another try would end the same.
var ErrPermanent = errors.New("permanent")

// permanent is an error of class ErrPermanent.
type permanent struct{ text string }

func (e permanent) Error() string   { return e.text }
func (e permanent) Is(t error) bool { return t == ErrPermanent }

// Permanent makes an error of class ErrPermanent.
func Permanent(text string) error { return permanent{text} }

// Fetch fetches one artifact into q.Dir, in a process that has nothing else to do and as few rights as the system lets it have. It waits for
// its turn. progress is called now and then with bytes of the file that is being downloaded; total 0 = unknown.
func (h *Helper) Fetch(ctx context.Context, q *protocol.Fetch, progress func(bytes, total int64)) error {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-h.slots }()
	p, err := start(h.path, protocol.VerbFetch)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, p.kill)
	defer stop()
	err = converse(p, q, progress)
	p.kill()
	gone := p.gone()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errGone):
		return gone
	}
	return err
}

// converse sends the request and reads on to the result; errGone: there was none.
func converse(p *process, q *protocol.Fetch, progress func(bytes, total int64)) error {
	if err := p.enc.Encode(q); err != nil {
		return errGone
	}
	for {
		var f protocol.Fetched
		if err := p.dec.Decode(&f); err != nil {
			return errGone
		}
		switch {
		case !f.Done:
			progress(f.Bytes, f.Total)
		case f.Error != "" && f.Permanent:
			return Permanent(f.Error)
		case f.Error != "":
			return errors.New(f.Error)
		default:
			return nil
		}
	}
}
