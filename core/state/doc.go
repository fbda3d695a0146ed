// Package state is everything the servers agreed on, in memory: jobs and their versions, nodes, evaluations,
// allocations, deployments and the rest, as of one raft index.
//
// One writer, the state machine of package consensus, changes it through Write: one raft entry is one transaction,
// applied whole or not at all. Everybody else reads Snapshots, which never change. Values in a snapshot are shared and
// must not be modified.
//
// What a change means beyond its own row happens here, in the same transaction: a job's status follows from its
// evaluations and allocations, summaries are counted, the fleet's columns are kept, deployments count what became
// healthy. A transaction gives no other result when it is replayed: it reads no clock (the entry brings the time), makes
// no identifiers and knows no configuration.
//
// Three ways lead out of the store for those who want to know of changes: Blocking runs a query again when something
// it read changed, Events is the ordered log behind the event stream, and NodeFeed gives a node its allocations.
package state
