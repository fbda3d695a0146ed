package feasible

import (
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// Configs tells whether the schemas that nodes registered for their drivers accept a task's config.
type Configs interface {
	// Refusal says why a driver's schema does not accept the task's config. It is empty if the schema does, or is not
	// known: a node whose schema nobody has cannot be told apart from one that accepts. The same question has the same
	// answer for as long as the Rules live.
	Refusal(driver, digest string, t *model.Task) string
}

// configCheck is the group's tasks against the schemas of the nodes' drivers. Schemas are part of a node's class, so a
// class is asked once, and a task and schema that several classes share are too.
type configCheck struct {
	configs Configs
	tasks   []*model.Task
	classes []Verdict
	known   map[taskSchema]string
}

type taskSchema struct{ task, digest string }

// CheckConfigs has the rules admit only nodes whose drivers' schemas accept the tasks' configs. Without it every node
// passes.
func (r *Rules) CheckConfigs(c Configs, g *model.TaskGroup) {
	if c != nil {
		r.configs = &configCheck{configs: c, tasks: g.Tasks, classes: newAnswers(r.draft), known: map[taskSchema]string{}}
	}
}

// ofConfigs asks the configs. An allocation that runs already is not asked: see Stays.
func (r *Rules) ofConfigs(nodes *fleet.Nodes, i uint32) Verdict {
	class := nodes.Class[i]
	v := r.configs.classes[class]
	if v == unasked {
		v = r.askConfigs(nodes.Node[i])
		r.configs.classes[class] = v
	}
	return v
}

func (r *Rules) askConfigs(n *model.Node) Verdict {
	c := r.configs
	for _, t := range c.tasks {
		d := n.Drivers[t.Driver]
		if d == nil || d.SchemaDigest == "" {
			continue
		}
		key := taskSchema{t.Name, d.SchemaDigest}
		why, known := c.known[key]
		if !known {
			why = c.configs.Refusal(t.Driver, d.SchemaDigest, t)
			c.known[key] = why
		}
		if why != "" {
			return r.reasons.verdict(why, false)
		}
	}
	return OK
}
