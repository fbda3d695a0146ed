package statedb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// Load returns everything stored. notes name the records that were damaged and left out. orphans are tasks of
// allocations that are not stored, salvaged from a damaged file: by allocation, then task.
func (s *Store) Load() (allocs []*Alloc, orphans map[string]map[string]*Task, notes []error) {
	var records map[string][]byte
	if s.db == nil {
		return nil, nil, nil
	}
	records, notes = s.db.all()
	l := loader{byID: map[string]*Alloc{}, jobs: map[string]*model.Job{}, tasks: map[string]map[string]*Task{}, records: records}
	notes = append(notes, l.load()...)
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, a := range l.byID {
		s.jobOf[id] = l.jobOf[id]
		s.jobs[l.jobOf[id]]++
		allocs = append(allocs, a)
	}
	return allocs, l.tasks, notes
}

// loader puts records together.
type loader struct {
	records map[string][]byte
	byID    map[string]*Alloc
	jobOf   map[string]string
	jobs    map[string]*model.Job
	tasks   map[string]map[string]*Task // of allocations that are not stored
}

func (l *loader) load() (notes []error) {
	l.jobOf = map[string]string{}
	note := func(key string, err error) {
		notes = append(notes, fmt.Errorf("client state record %q left out: %w", strings.ReplaceAll(key, sep, "/"), err))
	}
	for key, b := range l.records {
		kind, id, _ := strings.Cut(key, sep)
		switch kind {
		case "job":
			j := new(model.Job)
			if err := decode(b, j); err != nil {
				note(key, err)
				continue
			}
			l.jobs[key] = j
		case "alloc":
			var r storedAlloc
			if err := decode(b, &r); err != nil || r.Alloc == nil {
				note(key, err)
				continue
			}
			l.byID[id] = &Alloc{Alloc: r.Alloc, Tasks: map[string]*Task{}, States: map[string]*model.TaskState{}}
			l.jobOf[id] = r.Job
		}
	}
	for id, key := range l.jobOf {
		j := l.jobs[key]
		if j == nil {
			note(allocKey(id), errors.New("its job is missing"))
			delete(l.byID, id)
			continue
		}
		l.byID[id].Alloc.Job = j
	}
	for key, b := range l.records {
		kind, rest, _ := strings.Cut(key, sep)
		id, task, _ := strings.Cut(rest, sep)
		a := l.byID[id]
		switch {
		case kind == "task":
			t := new(Task)
			if err := decode(b, t); err != nil {
				note(key, err)
			} else if a != nil {
				a.Tasks[task] = t
			} else if t.TaskID != "" {
				if l.tasks[id] == nil {
					l.tasks[id] = map[string]*Task{}
				}
				l.tasks[id][task] = t
			}
		case kind == "state" && a != nil:
			st := new(model.TaskState)
			if err := decode(b, st); err != nil {
				note(key, err)
				continue
			}
			a.States[task] = st
		case kind == "network" && a != nil:
			n := new(Network)
			if err := decode(b, n); err != nil || n.Wanted == nil {
				note(key, err)
				continue
			}
			a.Network = n
		case kind == "health" && a != nil:
			h := new(model.AllocDeploymentStatus)
			if err := decode(b, h); err == nil {
				a.Health = h
			}
		}
	}
	return notes
}
