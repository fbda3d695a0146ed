package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/droverhq/drover/drivers-iis/appcmd"
)

const stopped = "Stopped"

// state is what IIS knows.
type state struct {
	Sites   []*site
	Pools   []*pool
	Workers []worker
}

type site struct {
	State  string
	Config *appcmd.Element
}

type pool struct {
	State    string
	Recycled int
	Config   *appcmd.Element
}

// worker is a process that serves a pool; whether it lives shows in whether it answers.
type worker struct {
	PID      int
	Pool     string
	Recycled int
	Address  string
}

func (s *site) name() string { return s.Config.Get("name") }
func (p *pool) name() string { return p.Config.Get("name") }

func (s *site) app(path string) *appcmd.Element {
	for _, a := range s.Config.All("application") {
		if strings.EqualFold(a.Get("path"), path) {
			return a
		}
	}
	return nil
}

func (s *site) dropApp(path string) {
	var kept []*appcmd.Element
	for _, e := range s.Config.Children {
		if e.Name != "application" || !strings.EqualFold(e.Get("path"), path) {
			kept = append(kept, e)
		}
	}
	s.Config.Children = kept
}

func (s *site) bindings() string {
	var all []string
	if list := s.Config.Find("bindings"); list != nil {
		for _, b := range list.All("binding") {
			all = append(all, b.Get("protocol")+"/"+b.Get("bindingInformation"))
		}
	}
	return strings.Join(all, ",")
}

func (s *state) site(name string) *site {
	for _, x := range s.Sites {
		if strings.EqualFold(x.name(), name) {
			return x
		}
	}
	return nil
}

func (s *state) pool(name string) *pool {
	for _, x := range s.Pools {
		if strings.EqualFold(x.name(), name) {
			return x
		}
	}
	return nil
}

func (s *state) dropSite(name string) {
	var kept []*site
	for _, x := range s.Sites {
		if !strings.EqualFold(x.name(), name) {
			kept = append(kept, x)
		}
	}
	s.Sites = kept
}

func (s *state) dropPool(name string) {
	var kept []*pool
	for _, x := range s.Pools {
		if !strings.EqualFold(x.name(), name) {
			kept = append(kept, x)
		}
	}
	s.Pools = kept
}

// live lists the workers that answer.
func (s *state) live() []worker {
	var alive []worker
	for _, w := range s.Workers {
		if conn, err := net.DialTimeout("tcp", w.Address, time.Second); err == nil {
			conn.Close()
			alive = append(alive, w)
		}
	}
	return alive
}

// employ makes sure that each started pool with a started site has a worker. Real ones come with the first request.
func (s *state) employ(self string) error {
	s.Workers = s.live()
	for _, p := range s.Pools {
		if p.State != appcmd.Started || !s.needed(p.name()) {
			continue
		}
		has := false
		for _, w := range s.Workers {
			has = has || w.Pool == p.name() && w.Recycled == p.Recycled
		}
		if has {
			continue
		}
		w, err := hire(self, p)
		if err != nil {
			return err
		}
		s.Workers = append(s.Workers, w)
	}
	return nil
}

func (s *state) needed(pool string) bool {
	for _, site := range s.Sites {
		for _, app := range site.Config.All("application") {
			if site.State == appcmd.Started && strings.EqualFold(app.Get("applicationPool"), pool) {
				return true
			}
		}
	}
	return false
}

func statePath(dir string) string { return filepath.Join(dir, "state.json") }

func readState(dir string) (*state, error) {
	s := new(state)
	text, err := os.ReadFile(statePath(dir))
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, s)
	}
	return s, err
}

// locked runs f on the state and stores what f made of it. One process at a time does so.
func locked(dir string, f func(*state) error) error {
	lock := filepath.Join(dir, "lock")
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		file, err := os.OpenFile(lock, os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			file.Close()
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s exists: %w", lock, err)
		}
	}
	defer os.Remove(lock)
	s, err := readState(dir)
	if err != nil {
		return err
	}
	if err := f(s); err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	temp := statePath(dir) + ".new"
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return err
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		err := os.Rename(temp, statePath(dir))
		if err == nil || time.Now().After(end) {
			return err // on Windows it fails while a worker reads
		}
	}
}
