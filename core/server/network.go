package server

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/state"
)

// networkProblems finds tasks that cannot join the network their group asks for, by what nodes say of their drivers. One
// node on which it works is enough; a driver that no node has is not judged.
func networkProblems(snap *state.Snapshot, j *model.Job) (problems model.Problems) {
	for _, g := range j.TaskGroups {
		mode, hostname := groupNetwork(g)
		if mode == "" {
			continue
		}
		var makers []string
		for _, t := range g.Tasks {
			path := fmt.Sprintf("group %q > task %q", g.Name, t.Name)
			c := networksOf(snap, t.Driver)
			switch {
			case !c.known:
				continue
			case !c.joins:
				problems = append(problems, model.Problem{Path: path, Message: fmt.Sprintf(
					"driver %q cannot join a network of mode %q: on every node that has it, its tasks can use %s only", t.Driver, mode, c.words())})
			case hostname && !c.makes:
				problems = append(problems, model.Problem{Path: path, Message: fmt.Sprintf(
					"the group's network sets hostname, which driver %q cannot give its tasks", t.Driver)})
			}
			if c.makes && !slices.Contains(makers, t.Driver) {
				makers = append(makers, t.Driver)
			}
		}
		if len(makers) > 1 {
			problems = append(problems, model.Problem{Path: fmt.Sprintf("group %q", g.Name), Message: fmt.Sprintf(
				"drivers %s each insist on making the network of mode %q; put their tasks into different groups", strings.Join(makers, " and "), mode)})
		}
	}
	return problems
}

// groupNetwork is the mode of the group's own network, "" when it has none.
func groupNetwork(g *model.TaskGroup) (mode string, hostname bool) {
	for _, n := range g.Networks {
		hostname = hostname || n.Hostname != ""
		if n.Mode != "" && n.Mode != model.NetworkModeHost && mode == "" {
			mode = n.Mode
		}
	}
	return mode, hostname
}

// driverNetworks is what nodes say of a driver's networks.
type driverNetworks struct {
	known bool // a node has it and says what it can join
	joins bool
	makes bool
	modes []string
}

func (d driverNetworks) words() string {
	if len(d.modes) == 0 {
		return "the host's network"
	}
	return "network isolation " + strings.Join(d.modes, ", ")
}

func networksOf(snap *state.Snapshot, driver string) (d driverNetworks) {
	for n := range snap.Nodes() {
		info := n.Drivers[driver]
		if info == nil || !info.Detected || info.NetworkModes == nil {
			continue
		}
		d.known = true
		d.joins = d.joins || info.Joins()
		d.makes = d.makes || info.MustCreateNetwork
		d.modes = info.NetworkModes
	}
	return d
}
