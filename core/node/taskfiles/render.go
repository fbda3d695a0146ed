package taskfiles

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/droverhq/drover/core/node/taskfiles/protocol"
)

const (
	// renderLimit is the longest that one template may take.
	renderLimit = 30 * time.Second
	// renderIdle is how long the renderer is kept when nobody asks.
	renderIdle = time.Minute
)

// errGone: the process ended before it answered; which request ended it is not known.
var errGone = errors.New("the renderer ended")

// errSlow: the answer did not come in time; whose template keeps the process busy is not known.
var errSlow = errors.New("the renderer did not answer in time")

// Helper runs the helper's processes. Close it.
type Helper struct {
	path  string
	limit time.Duration
	alone sync.Mutex    // templates that may end the renderer are rendered one at a time
	slots chan struct{} // downloads

	mu   sync.Mutex
	last uint64 // request ID
	live *renderer
}

// New returns a helper whose program is at path; nothing is started.
func New(path string) *Helper {
	return &Helper{path: path, limit: renderLimit, slots: make(chan struct{}, downloads)}
}

// Close ends the renderer.
func (h *Helper) Close() {
	h.mu.Lock()
	r := h.live
	h.live = nil
	h.mu.Unlock()
	if r != nil {
		r.p.kill()
		<-r.ended
	}
}

// Render renders a template. What is wrong with the template, that it ends or hangs the renderer too, is in the answer;
// the error is of the helper.
func (h *Helper) Render(ctx context.Context, q *protocol.Render) (*protocol.Rendered, error) {
	r, err := h.shared()
	if err != nil {
		return nil, err
	}
	answer, err := h.ask(ctx, r, q)
	if !errors.Is(err, errGone) && !errors.Is(err, errSlow) {
		return answer, err
	}
	// It may have been another's template. This one is tried again where it harms no other.
	h.alone.Lock()
	defer h.alone.Unlock()
	if r, err = newRenderer(h.path); err != nil {
		return nil, err
	}
	defer func() {
		r.p.kill()
		<-r.ended
	}()
	answer, err = h.ask(ctx, r, q)
	if errors.Is(err, errSlow) {
		return &protocol.Rendered{Error: fmt.Sprintf("the template takes longer than %v", h.limit)}, nil
	}
	if errors.Is(err, errGone) {
		return &protocol.Rendered{Error: "the template ends the renderer: " + r.why.Error()}, nil
	}
	return answer, err
}

// shared returns the node's renderer and counts one more request to it.
func (h *Helper) shared() (*renderer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.live != nil && h.live.use() {
		return h.live, nil
	}
	r, err := newRenderer(h.path)
	if err != nil {
		return nil, err
	}
	r.use()
	h.live = r
	return r, nil
}

func (h *Helper) ask(ctx context.Context, r *renderer, q *protocol.Render) (*protocol.Rendered, error) {
	h.mu.Lock()
	h.last++
	own := *q
	own.ID = h.last
	h.mu.Unlock()
	answer := r.send(&own)
	defer r.done(own.ID)
	timer := time.NewTimer(h.limit)
	defer timer.Stop()
	select {
	case a := <-answer:
		return a, nil
	case <-r.ended:
		select {
		case a := <-answer:
			return a, nil
		default:
		}
		return nil, errGone
	case <-timer.C:
		r.p.kill() // there is no other way to end it
		return nil, errSlow
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// renderer is a process that renders.
type renderer struct {
	p     *process
	ended chan struct{}
	why   error // once ended is closed

	writing sync.Mutex

	mu      sync.Mutex
	waiting map[uint64]chan *protocol.Rendered
	users   int
	closing bool
	idle    *time.Timer
}

func newRenderer(path string) (*renderer, error) {
	p, err := start(path, protocol.VerbRender)
	if err != nil {
		return nil, err
	}
	r := &renderer{p: p, ended: make(chan struct{}), waiting: map[uint64]chan *protocol.Rendered{}}
	go r.read()
	return r, nil
}

func (r *renderer) read() {
	for {
		a := new(protocol.Rendered)
		if err := r.p.dec.Decode(a); err != nil {
			break
		}
		r.mu.Lock()
		if ch := r.waiting[a.ID]; ch != nil {
			ch <- a
		}
		r.mu.Unlock()
	}
	r.p.kill()
	r.why = r.p.gone()
	close(r.ended)
}

// use counts a request; false: the process ends.
func (r *renderer) use() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.ended:
		return false
	default:
	}
	if r.closing {
		return false
	}
	if r.idle != nil {
		r.idle.Stop()
	}
	r.users++
	return true
}

func (r *renderer) send(q *protocol.Render) <-chan *protocol.Rendered {
	ch := make(chan *protocol.Rendered, 1)
	r.mu.Lock()
	r.waiting[q.ID] = ch
	r.mu.Unlock()
	go r.write(q) // a full pipe must not outlast the request's deadline
	return ch
}

// write sends one request. A renderer that cannot be written to has ended, which read notices.
func (r *renderer) write(q *protocol.Render) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.p.enc.Encode(q)
}

// done forgets a request and ends the process when nobody has asked for a while.
func (r *renderer) done(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, id)
	if r.users--; r.users > 0 {
		return
	}
	r.idle = time.AfterFunc(renderIdle, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.users <= 0 {
			r.closing = true
			r.p.in.Close()
		}
	})
}
