package state

import "github.com/droverhq/drover/core/model"

// Cluster is the cluster's identity, nil until its first leader gave it one.
func (s *Snapshot) Cluster() *model.Cluster {
	return one[*model.Cluster](s, tableCluster, byID, "cluster")
}

// SetCluster stores it.
func (tx *Txn) SetCluster(c *model.Cluster) {
	n := *c
	n.CreateIndex = tx.index
	tx.insert(tableCluster, &n)
}
