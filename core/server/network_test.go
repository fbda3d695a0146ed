package server

import (
	"strings"
	"testing"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/state"
)

// joined makes a node that offers bridges and whose driver can be connected in these ways.
func joined(modes ...string) func(*model.Node) {
	return func(n *model.Node) {
		n.NodeResources.Networks = append(n.NodeResources.Networks, &model.NodeNetwork{Mode: "bridge"})
		n.Drivers["test"].NetworkModes = modes
	}
}

func bridgeJob(id string, count int) *model.Job {
	j := configJob(id, count, map[string]any{"command": "x"})
	j.TaskGroups[0].Networks = []*model.Network{{Mode: "bridge"}}
	return j
}

// A driver that can join no network is refused with the reason when the job is submitted; as soon as it can on one node,
// the job is placed there and the others say why not.
func TestDriverThatCannotJoin(t *testing.T) {
	s := start(t, nil)
	apart := joinAs(t, s, testSchema(t), runs, joined("host", "task"))
	_, err := s.RegisterJob(deadline(t), &JobRegisterRequest{Job: bridgeJob("web", 1)})
	const want = `driver "test" cannot join a network of mode "bridge": on every node that has it, its tasks can use network isolation host, task only`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want %s", err, want)
	}
	hostname := bridgeJob("named", 1)
	hostname.TaskGroups[0].Networks[0].Hostname = "web"

	within := joinAs(t, s, testSchema(t), runs, joined("host", "group"))
	if _, err := s.RegisterJob(deadline(t), &JobRegisterRequest{Job: hostname}); err == nil || !strings.Contains(err.Error(), `sets hostname, which driver "test" cannot give`) {
		t.Errorf("a hostname: %v", err)
	}
	register(t, s, bridgeJob("web", 3))
	snap := until(t, s, "three running", func(snap *state.Snapshot) bool { return running(snap, "web") == 3 })
	if on := len(snap.AllocsByNode(within.id)); on != 3 {
		t.Errorf("%d of 3 are on the node whose driver can join, %d on the other", on, len(snap.AllocsByNode(apart.id)))
	}
	const reason = `driver "test" cannot join network "bridge"`
	if m := snap.AllocsByNode(within.id)[0].Metrics; m.ConstraintFiltered[reason] != 1 {
		t.Errorf("the other node was filtered by %v", m.ConstraintFiltered)
	}
}
