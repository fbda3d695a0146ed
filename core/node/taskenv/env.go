// Package taskenv builds the environment of a task and replaces ${...} in its specification.
//
// Every NOMAD_ variable also exists under the DROVER_ prefix with the same value.
package taskenv

import (
	"maps"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// Prefixes of the variables this package makes. Names are written with the first; the second is a copy.
const (
	prefix       = "NOMAD_"
	nativePrefix = "DROVER_"
)

// Dirs are the task's directories as the task itself sees them.
type Dirs struct{ Alloc, Task, Secrets string }

// Input is all that the environment depends on. Job is the version the allocation runs; Network may be nil.
type Input struct {
	Node         *model.Node
	Region       string
	Alloc        *model.Allocation
	Job          *model.Job
	Task         *model.Task
	Dirs         Dirs
	CgroupParent string
	Network      *model.AllocNetworkStatus
	HostEnv      map[string]string // nil for drivers that bring their own root from an image
	Extra        map[string]string // from hooks: devices, secrets, templates; overrides everything
}

// Env is a task's environment and the values that ${...} may name.
type Env struct {
	vars map[string]string
	node map[string]string
}

// Build makes the environment. Later sources win: own variables, meta, the node's environment (which overrides
// nothing), the task's env block with ${...} replaced, what hooks added.
func Build(in Input) *Env {
	e := &Env{vars: map[string]string{}, node: nodeValues(in.Node)}
	e.node["node.region"] = in.Region
	own(e.vars, &in)
	ports(e.vars, &in)
	meta(e.vars, in.Job, in.Alloc.TaskGroup, in.Task.Name)
	cleanNames(e.vars)
	alias(e.vars)
	for k, v := range in.HostEnv {
		if _, taken := e.vars[k]; !taken {
			e.vars[k] = v
		}
	}
	for _, k := range slices.Sorted(maps.Keys(in.Task.Env)) {
		e.vars[e.Replace(k)] = e.Replace(in.Task.Env[k])
	}
	maps.Copy(e.vars, in.Extra)
	cleanNames(e.vars)
	alias(e.vars)
	return e
}

// Vars is the environment. The map belongs to the caller.
func (e *Env) Vars() map[string]string { return maps.Clone(e.vars) }

// Lookup returns the value of one variable.
func (e *Env) Lookup(name string) (string, bool) { v, ok := e.vars[name]; return v, ok }

// Node holds the values of node.*, attr.* and meta.* by full name. It is shared: do not change it.
func (e *Env) Node() map[string]string { return e.node }

// alias copies every NOMAD_ variable to its DROVER_ name unless somebody set that one.
func alias(vars map[string]string) {
	for _, k := range slices.Collect(maps.Keys(vars)) {
		rest, ok := strings.CutPrefix(k, prefix)
		if !ok {
			continue
		}
		if _, taken := vars[nativePrefix+rest]; !taken {
			vars[nativePrefix+rest] = vars[k]
		}
	}
}

// cleaned are the families whose names carry text of the user's.
var cleaned = []string{"ADDR_", "IP_", "PORT_", "HOST_PORT_", "META_"}

// cleanNames replaces what a shell cannot read in those names by "_".
func cleanNames(vars map[string]string) {
	for _, k := range slices.Collect(maps.Keys(vars)) {
		c := cleanName(k)
		if c == k {
			continue
		}
		v := vars[k]
		delete(vars, k)
		vars[c] = v
	}
}

func cleanName(k string) string {
	rest, ok := strings.CutPrefix(k, prefix)
	if !ok {
		if rest, ok = strings.CutPrefix(k, nativePrefix); !ok {
			return k
		}
	}
	if !slices.ContainsFunc(cleaned, func(f string) bool { return strings.HasPrefix(rest, f) }) {
		return k
	}
	return safe(k)
}

// safe replaces every character but ASCII letters, digits and "_".
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, s)
}

// nodeValues are the values under the names that ${...} uses.
func nodeValues(n *model.Node) map[string]string {
	v := map[string]string{
		"node.unique.id":   n.ID,
		"node.unique.name": n.Name,
		"node.datacenter":  n.Datacenter,
		"node.class":       n.NodeClass,
		"node.pool":        n.NodePool,
	}
	for k, a := range n.Attributes {
		v["attr."+k], v["node.attr."+k] = a, a
	}
	for k, m := range n.Meta {
		v["meta."+k], v["node.meta."+k] = m, m
	}
	return v
}
