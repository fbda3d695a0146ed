package executor

import (
	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/nofile"
)

// InheritedNoFile is the limit of open files that this plugin was started
// with, for tasks to have too. Nil leaves what the keeper has.
func InheritedNoFile() *launch.Limit {
	soft, hard, ok := nofile.Inherited()
	if !ok {
		return nil
	}
	return &launch.Limit{Soft: soft, Hard: hard}
}
