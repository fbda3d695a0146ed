// Package rank finds the best nodes for a group's placements. A Placer scans the fleet once, keeps every feasible node
// in a heap by its score, and takes the best from it for each placement, after which only the node it used is scored
// again. The cost of a group is O(nodes + placements × (spread values + log nodes)).
//
// A group of few instances in a large fleet does not scan all of it: each placement adds a bounded number of feasible
// nodes, from a place that depends on the seed, to the heap.
//
// A score is the mean of the terms that apply to a node.
package rank
