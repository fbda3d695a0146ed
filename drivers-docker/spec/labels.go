package spec

import (
	"fmt"
	"strings"

	"github.com/droverhq/drover/sdk/driver"
)

// Labels that say whose a container is. Only containers whose node label is this agent's are ever removed.
const (
	LabelCluster = "com.droverhq.cluster"
	LabelNode    = "com.droverhq.node_id"
	LabelAlloc   = "com.droverhq.alloc_id"
	LabelTask    = "com.droverhq.task"
	LabelTaskID  = "com.droverhq.task_id"
	LabelTaskDir = "com.droverhq.task_dir"
	LabelKind    = "com.droverhq.kind"

	// KindPause marks containers that only hold a network namespace.
	KindPause = "pause"
	KindTask  = "task"

	ownPrefix   = "com.droverhq."
	knownPrefix = "com.hashicorp.nomad."
	knownAlloc  = knownPrefix + "alloc_id"
)

// Owner is who answers for a container.
type Owner struct {
	Cluster string // empty if the host does not say
	Node    string
}

// Labels are what the container of a task carries. Labels of the job cannot hide whose it is.
func Labels(task *driver.TaskConfig, extra []string, own map[string]string, owner Owner) (map[string]string, error) {
	labels := map[string]string{}
	for name, value := range own {
		if strings.HasPrefix(name, ownPrefix) {
			return nil, fmt.Errorf("labels: %q: names that begin with %s are the agent's", name, ownPrefix)
		}
		labels[name] = value
	}
	for name, value := range map[string]string{
		"job_name": task.JobName, "job_id": task.JobID, "parent_job_id": task.ParentJobID, "task_group_name": task.TaskGroup,
		"task_name": task.Name, "namespace": task.Namespace, "node_name": task.NodeName, "node_id": task.NodeID,
	} {
		for _, pattern := range extra {
			if match(pattern, name) && value != "" {
				labels[knownPrefix+name] = value
			}
		}
	}
	labels[knownAlloc] = task.AllocID
	labels[LabelKind] = KindTask
	labels[LabelAlloc] = task.AllocID
	labels[LabelTask] = task.Name
	labels[LabelTaskID] = task.ID
	labels[LabelTaskDir] = task.TaskDir()
	setOwner(labels, owner)
	return labels, nil
}

// PauseLabels are what the container of an allocation's network namespace carries.
func PauseLabels(allocID string, owner Owner) map[string]string {
	labels := map[string]string{knownAlloc: allocID, LabelAlloc: allocID, LabelKind: KindPause}
	setOwner(labels, owner)
	return labels
}

func setOwner(labels map[string]string, owner Owner) {
	if owner.Node != "" {
		labels[LabelNode] = owner.Node
	}
	if owner.Cluster != "" {
		labels[LabelCluster] = owner.Cluster
	}
}

// AllocOf is the allocation that a container belongs to; empty: none.
func AllocOf(labels map[string]string) string {
	if id := labels[LabelAlloc]; id != "" {
		return id
	}
	return labels[knownAlloc]
}

// Owns reports whether a container with these labels is this owner's. Without a node's id nothing is.
func (o Owner) Owns(labels map[string]string) bool {
	return o.Node != "" && labels[LabelNode] == o.Node && (o.Cluster == "" || labels[LabelCluster] == "" || labels[LabelCluster] == o.Cluster)
}

// IsTask reports whether a container is that of a task, in any of its attempts.
func (o Owner) IsTask(labels map[string]string, task *driver.TaskConfig) bool {
	return o.Owns(labels) && labels[LabelAlloc] == task.AllocID && labels[LabelTask] == task.Name
}
