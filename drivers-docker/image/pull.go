package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/api/types/registry"
)

const (
	// pullAttempts and the waits between them are for registries that hiccup; a restart policy covers the rest.
	pullAttempts  = 3
	firstBackoff  = time.Second
	eventInterval = 2 * time.Minute // progress lines for the task's user
	logInterval   = 10 * time.Second
)

// Messages is what the engine says while it pulls.
type Messages interface {
	io.Closer
	JSONMessages(ctx context.Context) iter.Seq2[jsonstream.Message, error]
}

// Registry pulls one image; auth is already encoded.
type Registry interface {
	Pull(ctx context.Context, name, auth string) (Messages, error)
}

// Watcher hears about a pull.
type Watcher func(message string, annotations map[string]string)

// Puller pulls images. Tasks that want the same image with the same credentials share one pull, which goes on as long as
// one of them waits.
type Puller struct {
	registry Registry
	stall    time.Duration // a pull without progress for this long is given up
	log      func(message string, args ...any)

	// backoff and events are shorter in tests.
	backoff, events time.Duration

	mu    sync.Mutex
	pulls map[string]*pull
}

// NewPuller returns a puller that gives up after stall without progress.
func NewPuller(r Registry, stall time.Duration, log func(message string, args ...any)) *Puller {
	return &Puller{registry: r, stall: stall, log: log, backoff: firstBackoff, events: eventInterval, pulls: map[string]*pull{}}
}

// pull is one transfer and those who wait for it.
type pull struct {
	done   chan struct{}
	err    error // written before done is closed
	cancel context.CancelFunc

	mu       sync.Mutex
	waiters  map[*Watcher]Watcher
	progress progress
}

// Request is one task's wish for an image.
type Request struct {
	Ref   Reference
	Auth  *registry.AuthConfig
	Limit time.Duration // for the whole pull; 0: none
	Watch Watcher
}

// Pull waits until the image is there. Its end does not end the pull while others wait.
func (p *Puller) Pull(ctx context.Context, r Request) error {
	if r.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.Limit, fmt.Errorf("not complete within image_pull_timeout (%s)", r.Limit))
		defer cancel()
	}
	auth := ""
	if r.Auth != nil {
		var err error
		if auth, err = authconfig.Encode(*r.Auth); err != nil {
			return fmt.Errorf("pull %s: encode credentials: %w", r.Ref.Name, err)
		}
	}
	watch := r.Watch
	if watch == nil {
		watch = func(string, map[string]string) {}
	}
	job := p.join(r.Ref, auth, &watch)
	watch("Downloading image", map[string]string{"image": r.Ref.Name})
	select {
	case <-job.done:
		p.leave(r.Ref, auth, job, &watch)
		if job.err != nil {
			return fmt.Errorf("pull %s: %w", r.Ref.Name, job.err)
		}
		return nil
	case <-ctx.Done():
		p.leave(r.Ref, auth, job, &watch)
		return fmt.Errorf("pull %s: %w", r.Ref.Name, context.Cause(ctx))
	}
}

func key(ref Reference, auth string) string { return ref.Name + "\x00" + auth }

func (p *Puller) join(ref Reference, auth string, watch *Watcher) *pull {
	p.mu.Lock()
	defer p.mu.Unlock()
	job := p.pulls[key(ref, auth)]
	if job == nil {
		ctx, cancel := context.WithCancel(context.Background())
		job = &pull{done: make(chan struct{}), cancel: cancel, waiters: map[*Watcher]Watcher{}, progress: newProgress()}
		p.pulls[key(ref, auth)] = job
		go p.run(ctx, ref, auth, job)
	}
	job.mu.Lock()
	job.waiters[watch] = *watch
	job.mu.Unlock()
	return job
}

// leave takes a waiter off; the last one ends the pull.
func (p *Puller) leave(ref Reference, auth string, job *pull, watch *Watcher) {
	p.mu.Lock()
	defer p.mu.Unlock()
	job.mu.Lock()
	delete(job.waiters, watch)
	alone := len(job.waiters) == 0
	job.mu.Unlock()
	if alone {
		job.cancel()
		if p.pulls[key(ref, auth)] == job {
			delete(p.pulls, key(ref, auth))
		}
	}
}

func (p *Puller) run(ctx context.Context, ref Reference, auth string, job *pull) {
	defer job.cancel()
	wait := p.backoff
	for attempt := 1; ; attempt++ {
		job.err = p.once(ctx, ref, auth, job)
		if job.err == nil || ctx.Err() != nil || attempt == pullAttempts || !worthRepeating(job.err) {
			break
		}
		p.log("pull failed, trying again", "image", ref.Name, "attempt", attempt, "error", job.err)
		job.tell("Download failed, trying again: "+job.err.Error(), map[string]string{"image": ref.Name})
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait *= 2
	}
	p.mu.Lock()
	if p.pulls[key(ref, auth)] == job {
		delete(p.pulls, key(ref, auth)) // whoever comes now wants a fresh look
	}
	p.mu.Unlock()
	close(job.done)
}

// once is one attempt. Every sign of progress starts the stall timeout anew.
func (p *Puller) once(ctx context.Context, ref Reference, auth string, job *pull) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(p.stall, func() {
		cancel(fmt.Errorf("%w: no progress for %s (pull_activity_timeout)", errStalled, p.stall))
	})
	defer stalled.Stop()
	messages, err := p.registry.Pull(ctx, ref.Name, auth)
	if err != nil {
		return ended(ctx, err)
	}
	defer messages.Close()
	nextEvent, nextLog := time.Now().Add(p.events), time.Now().Add(logInterval)
	for m, err := range messages.JSONMessages(ctx) {
		if err != nil {
			return ended(ctx, err)
		}
		if m.Error != nil {
			return classify(m.Error)
		}
		job.mu.Lock()
		moved := job.progress.add(m)
		text := job.progress.String()
		job.mu.Unlock()
		if !moved {
			continue
		}
		stalled.Reset(p.stall)
		now := time.Now()
		if now.After(nextLog) {
			p.log("pulling", "image", ref.Name, "progress", text)
			nextLog = now.Add(logInterval)
		}
		if now.After(nextEvent) {
			job.tell("Docker image pull progress: "+text, map[string]string{"image": ref.Name})
			nextEvent = now.Add(p.events)
		}
	}
	return ended(ctx, nil)
}

// ended says why a transfer ended: the context's cause is better than the broken stream it left.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (j *pull) tell(message string, annotations map[string]string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, w := range j.waiters {
		w(message, annotations)
	}
}

var errStalled = errors.New("stalled")

// classify gives what the engine reports in its stream the class it would have had as an answer.
func classify(e *jsonstream.Error) error {
	switch {
	case e.Code == 404 || missing.MatchString(e.Message):
		return fmt.Errorf("%s: %w", e.Message, cerrdefs.ErrNotFound)
	case e.Code == 401 || denied.MatchString(e.Message):
		return fmt.Errorf("%s: %w", e.Message, cerrdefs.ErrUnauthenticated)
	}
	return errors.New(e.Message)
}

var (
	missing = regexp.MustCompile(`(?i)error: image .+ not found|manifest unknown|manifest for .+ not found|repository .* not found|no matching manifest`)
	denied  = regexp.MustCompile(`(?i)unauthorized|authentication required|no basic auth credentials|denied`)
)

// Missing reports whether the registry does not have the image: another attempt cannot find it either.
func Missing(err error) bool {
	return err != nil && (cerrdefs.IsNotFound(err) || missing.MatchString(err.Error()))
}

// worthRepeating leaves out what another attempt a second later cannot change.
func worthRepeating(err error) bool {
	return !Missing(err) && !errors.Is(err, errStalled) && !cerrdefs.IsUnauthorized(err) && !cerrdefs.IsPermissionDenied(err) &&
		!cerrdefs.IsInvalidArgument(err) && !denied.MatchString(err.Error())
}
