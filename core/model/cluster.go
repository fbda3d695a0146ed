package model

import "time"

// Cluster is the identity of one group of servers and of everything they ever stored.
type Cluster struct {
	ID          string
	Region      string
	CreateTime  time.Time
	CreateIndex uint64
}
