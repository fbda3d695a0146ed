package consensus

import (
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/state"
)

// NameCluster gives the cluster its identity, once: an entry that comes later changes nothing.
type NameCluster struct {
	Stamp
	Cluster *model.Cluster
}

func (e *NameCluster) apply(tx *state.Txn) (any, error) {
	if tx.Cluster() == nil {
		tx.SetCluster(e.Cluster)
	}
	return nil, nil
}
