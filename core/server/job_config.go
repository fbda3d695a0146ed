package server

import (
	"fmt"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/state"
)

// checkConfigs checks every task's config against the schemas of its driver that nodes have: one that accepts it is
// enough, and those that do not are named in a warning, because the task is not placed on their nodes. checked tells
// whether there was one for every driver.
func (s *Server) checkConfigs(snap *state.Snapshot, j *model.Job) (warnings []string, problems model.Problems, checked bool) {
	checked = true
	for _, g := range j.TaskGroups {
		for _, t := range g.Tasks {
			path := fmt.Sprintf("group %q > task %q", g.Name, t.Name)
			schemas := snap.Schemas(t.Driver)
			if len(schemas) == 0 {
				checked = false
				why := fmt.Sprintf("no node has registered a configuration schema for driver %q: the config block was not checked", t.Driver)
				if !snap.DriverOnNodes(t.Driver) {
					why = fmt.Sprintf("no node has driver %q at present: the config block was not checked, and the task waits for a node that has it", t.Driver)
				}
				warnings = append(warnings, model.Problem{Path: path, Message: why}.Error())
				continue
			}
			more, refused := s.checkConfig(snap, path+" > config", t, schemas)
			warnings, problems = append(warnings, more...), append(problems, refused...)
		}
	}
	return warnings, problems, checked
}

func (s *Server) checkConfig(snap *state.Snapshot, path string, t *model.Task, schemas []*state.Schema) (warnings []string, problems model.Problems) {
	accepted := false
	for _, sc := range schemas {
		found, err := s.schemas.check(sc, t.Config)
		if err != nil || len(found) == 0 {
			accepted = true
			continue
		}
		// The key, what is wrong with it and which version of the driver says so.
		for _, d := range found {
			problems = append(problems, model.Problem{Path: path, Message: fmt.Sprintf("%s (%s)", d.String(), versionOf(sc))})
		}
		why := fmt.Sprintf("not placed on %s with %s, which does not accept it: %s", nodeCount(snap, sc), versionOf(sc), summary(found))
		warnings = append(warnings, model.Problem{Path: path, Message: why}.Error())
	}
	if accepted {
		return warnings, nil
	}
	return nil, problems
}

func versionOf(sc *state.Schema) string {
	return strings.TrimSpace("driver " + sc.Driver + " " + sc.Version)
}

func nodeCount(snap *state.Snapshot, sc *state.Schema) string {
	n := 0
	for range snap.SchemaNodes(sc.Driver, sc.Digest) {
		n++
	}
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}
