package driver

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	extensionv1 "github.com/droverhq/drover/sdk/proto/extension/v1"
)

// errReleased answers for tasks that another process of the plugin has, or is about to have.
var errReleased = status.Error(codes.Aborted, "the plugin has released its tasks: another process of it takes them over")

var _ extensionv1.HandOverServer = handOver[struct{}, struct{}]{}

// handOver serves the extension of that name.
type handOver[C, S any] struct {
	server *server[C, S]
	impl   WithHandOver
}

// Release lets go of all tasks, or of none: only when every call that changes a task is over and none has ended, because
// its end would be known here only.
func (h handOver[C, S]) Release(ctx context.Context, req *extensionv1.ReleaseRequest) (*extensionv1.ReleaseResponse, error) {
	tasks := h.server.tasks
	if err := tasks.shut(ctx); err != nil {
		return nil, err
	}
	resp := &extensionv1.ReleaseResponse{}
	list := tasks.list()
	for _, t := range list {
		if t.ended() && !req.GetIncludeEnded() {
			tasks.open()
			return nil, endedFirst(t)
		}
		resp.Tasks = append(resp.Tasks, &extensionv1.ReleasedTask{TaskId: t.id})
	}
	for _, t := range list {
		t.released = true
		t.cancel()
	}
	last, err := letGo(ctx, list)
	if err == nil && last != nil && !req.GetIncludeEnded() {
		h.followAgain(list)
		tasks.open()
		return nil, endedFirst(last)
	}
	for _, t := range list {
		if err == nil {
			err = h.impl.Release(ctx, t.id)
		}
	}
	if err != nil {
		return nil, statusOf(err)
	}
	tasks.clear()
	return resp, nil
}

func endedFirst(t *tracked) error {
	return status.Errorf(codes.FailedPrecondition, "task %s has ended and is not destroyed yet", t.id)
}

// letGo waits until the driver's Waits have returned, and names a task that ended at the last moment.
func letGo(ctx context.Context, list []*tracked) (ended *tracked, err error) {
	patience := time.NewTimer(waitGrace)
	defer patience.Stop()
	for _, t := range list {
		select {
		case <-t.done:
		case <-patience.C:
			return nil, fmt.Errorf("release task %s: the driver's Wait goes on", t.id)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if t.ended() {
			ended = t
		}
	}
	return ended, nil
}

// followAgain undoes the end of the Waits.
func (h handOver[C, S]) followAgain(list []*tracked) {
	for _, t := range list {
		if !t.ended() {
			h.server.follow(t.id, t.name, t.startedAt)
		}
	}
}

// Resume starts and recovers tasks again.
func (h handOver[C, S]) Resume(context.Context, *extensionv1.ResumeRequest) (*extensionv1.ResumeResponse, error) {
	h.server.tasks.resume()
	return &extensionv1.ResumeResponse{}, nil
}

// letGo reports whether the task was released.
func (t *tracked) letGo() bool {
	select {
	case <-t.done:
		return t.exit == nil && t.released
	default:
		return false
	}
}

// shut refuses new operations and waits for those under way.
func (r *registry) shut(ctx context.Context) error {
	r.mu.Lock()
	if r.released {
		r.mu.Unlock()
		return errReleased
	}
	r.released = true
	var under []chan struct{}
	for _, c := range r.busy {
		under = append(under, c)
	}
	r.mu.Unlock()
	for _, c := range under {
		select {
		case <-c:
		case <-ctx.Done():
			r.open()
			return status.Errorf(codes.FailedPrecondition, "calls are under way: %v", ctx.Err())
		}
	}
	return nil
}

func (r *registry) open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.released = false
}

// resume takes a release back. Tasks whose release failed halfway are forgotten: they are recovered again.
func (r *registry) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.released {
		return
	}
	r.released = false
	for id, t := range r.tasks {
		if t.released {
			delete(r.tasks, id)
		}
	}
}

func (r *registry) list() []*tracked {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*tracked, 0, len(r.tasks))
	for _, t := range r.tasks {
		list = append(list, t)
	}
	return list
}

func (r *registry) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.tasks)
}
