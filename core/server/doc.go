// Package server is what a server does besides keeping the log: it answers the API's requests and the nodes' calls, and
// while it leads it runs the loops that bring the cluster to what was asked for.
//
// The way of an evaluation, which is the way of every change:
//
//	a request    appends one entry: what was asked for and an evaluation of it         jobs.go, nodes.go, ...
//	commit       tells the loops what was written                                      commit.go
//	broker       hands evaluations to workers, one at a time for a job                 broker/
//	worker       runs the scheduler on a snapshot                                      worker.go
//	applier      checks plans again and commits what still fits, many in one entry     applier.go
//	blocked      keeps what found no room until there may be some                      blocked/
//	feed         pushes the allocations to their nodes as they commit                  node_rpc.go
//	node update  brings back what happened there, many nodes' news in one entry        updates.go
//
// Beside it: heartbeats (a silent node is down), deployments (deploy/), drains (drain/), garbage collection.
package server
