package executor

import "github.com/droverhq/drover/drivers-exec/executor/cgroup"

// memoryEvents is empty where there are no control groups.
type memoryEvents struct{}

func (*memoryEvents) add(cgroup.Group, *memoryWatch) (func(), error) { return nil, nil }

func (*memoryEvents) close() {}
