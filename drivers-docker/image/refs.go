package image

import (
	"slices"
	"time"
)

// Refs counts who uses which image. It decides when an image may go and does nothing else.
type Refs struct {
	delay  time.Duration
	images map[string]*use // by the engine's image id
	tasks  map[string]string
}

type use struct {
	names map[string]bool // references by which tasks asked for it
	users map[string]bool // task ids
	due   time.Time       // when it goes, if nobody comes; zero while it is used
}

// Gone is an image that nobody used for the delay, with the names it was asked for by.
type Gone struct {
	ID    string
	Names []string
}

// NewRefs returns an empty count; images go delay after their last use.
func NewRefs(delay time.Duration) *Refs {
	return &Refs{delay: delay, images: map[string]*use{}, tasks: map[string]string{}}
}

// Hold notes that a task uses an image. It may be repeated.
func (r *Refs) Hold(task, id, name string) {
	if old, held := r.tasks[task]; held && old != id {
		delete(r.images[old].users, task)
	}
	u := r.images[id]
	if u == nil {
		u = &use{names: map[string]bool{}, users: map[string]bool{}}
		r.images[id] = u
	}
	if name != "" {
		u.names[name] = true
	}
	u.users[task], u.due = true, time.Time{}
	r.tasks[task] = id
}

// Release notes that a task is gone. It returns when the image is due, zero if it is still used or was never held.
func (r *Refs) Release(task string, now time.Time) time.Time {
	id, held := r.tasks[task]
	if !held {
		return time.Time{}
	}
	delete(r.tasks, task)
	u := r.images[id]
	delete(u.users, task)
	if len(u.users) > 0 {
		return time.Time{}
	}
	u.due = now.Add(r.delay)
	return u.due
}

// Due takes out the images whose time has come.
func (r *Refs) Due(now time.Time) []Gone {
	var gone []Gone
	for id, u := range r.images {
		if u.due.IsZero() || now.Before(u.due) {
			continue
		}
		g := Gone{ID: id}
		for name := range u.names {
			g.Names = append(g.Names, name)
		}
		slices.Sort(g.Names)
		gone = append(gone, g)
		delete(r.images, id)
	}
	slices.SortFunc(gone, func(a, b Gone) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return gone
}
