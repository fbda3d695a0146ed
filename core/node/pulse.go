package node

import (
	"context"
	"sync"
	"time"

	"github.com/droverhq/drover/core/rpc"
)

// pulse sends chunks, and an empty one when a followed stream has been silent for a while.
type pulse struct {
	mu     sync.Mutex
	out    func(*rpc.FSChunk) error
	quiet  bool // nothing was sent since the last tick
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

func newPulse(ctx context.Context, follow bool, out func(*rpc.FSChunk) error) *pulse {
	p := &pulse{out: out, cancel: func() {}}
	if !follow {
		return p
	}
	ctx, p.cancel = context.WithCancel(ctx)
	p.ended.Go(func() {
		tick := time.NewTicker(signOfLife)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				p.beat()
			}
		}
	})
	return p
}

func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quiet {
		p.out(&rpc.FSChunk{}) // an error shows at the next chunk, or ctx ends
	}
	p.quiet = true
}

func (p *pulse) send(c *rpc.FSChunk) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quiet = false
	return p.out(c)
}

func (p *pulse) stop() {
	p.cancel()
	p.ended.Wait()
}
