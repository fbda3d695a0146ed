package iis

import (
	"slices"
	"strings"

	"github.com/droverhq/drover/drivers-iis/appcmd"
	"github.com/droverhq/drover/sdk/driver"
)

// State is all that a new plugin process needs to find a task again. It holds no secret.
type State struct {
	Site         string   // the task's own site, or empty
	Target       string   // somebody else's site that the task's applications are in
	Apps         []string // those applications, "site/path"
	Pools        []string
	Providers    []string // service auto start providers
	Endpoints    []string // addresses that a certificate was bound to
	Certificates []string // thumbprints of certificates that were imported for the task
	Directories  []string // what the pools were given permission for
	StartedAt    int64    // Unix seconds
}

// snapshot is what IIS says of itself at one moment.
type snapshot struct {
	sites   map[string]appcmd.Site
	pools   map[string]appcmd.Pool
	workers map[string]string // pid -> pool
}

// judge says whether a task has ended, and how; nil while it runs. What IIS keeps tells everything, so that a plugin that
// was killed knows as much as one that looked on: the driver's own stop first switches the site's (or, in somebody else's
// site, takes away the applications) automatic start off; a pause does so with the pool's.
func judge(s State, now snapshot) *driver.ExitResult {
	if s.Site != "" {
		site, ok := now.sites[s.Site]
		switch {
		case !ok:
			return &driver.ExitResult{Err: "site " + s.Site + " was removed from IIS"}
		case site.State != appcmd.Started && !site.AutoStart():
			return &driver.ExitResult{}
		case site.State != appcmd.Started:
			return &driver.ExitResult{ExitCode: 1, Err: "site " + s.Site + " was stopped in IIS"}
		}
	} else if !s.hasApps(now) {
		if s.paused(now) {
			return &driver.ExitResult{}
		}
		return &driver.ExitResult{Err: "its applications were removed from site " + s.Target}
	}
	for _, name := range s.Pools {
		pool, ok := now.pools[name]
		switch {
		case !ok:
			return &driver.ExitResult{Err: "application pool " + name + " was removed from IIS"}
		case pool.State != appcmd.Started && pool.AutoStart():
			return &driver.ExitResult{ExitCode: 1, Err: "application pool " + name + " was stopped: its workers failed too often, or somebody stopped it"}
		}
	}
	return nil
}

// hasApps reports whether every application of the task is still in the target site.
func (s State) hasApps(now snapshot) bool {
	site, ok := now.sites[s.Target]
	if !ok {
		return false
	}
	for _, app := range s.Apps {
		if !slices.ContainsFunc(site.Config.All("application"), func(e *appcmd.Element) bool {
			return strings.EqualFold(s.Target+e.Get("path"), app)
		}) {
			return false
		}
	}
	return true
}

// paused reports whether all pools are stopped on purpose.
func (s State) paused(now snapshot) bool {
	for _, name := range s.Pools {
		if pool, ok := now.pools[name]; ok && (pool.State == appcmd.Started || pool.AutoStart()) {
			return false
		}
	}
	return true
}

// exists reports whether IIS has anything of the task.
func (s State) exists(now snapshot) bool {
	_, site := now.sites[s.Site]
	return site || slices.ContainsFunc(s.Pools, func(p string) bool { _, ok := now.pools[p]; return ok })
}

// pids are the task's worker processes.
func (s State) pids(now snapshot) []string {
	var all []string
	for pid, pool := range now.workers {
		if slices.Contains(s.Pools, pool) {
			all = append(all, pid)
		}
	}
	slices.Sort(all)
	return all
}
