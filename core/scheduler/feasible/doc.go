// Package feasible holds the rules that decide whether a node may run a group, and the names of those rules as a user
// sees them. There is one set of rules: the scheduler asks it for every node, the system scheduler for one node, the
// plan applier (Check, CheckDraft) for what is about to be committed, and `job plan` for what would be.
//
// Rules is one group's rules compiled against one fleet. A node is first a Candidate (ready, in the pool and
// datacenters); then Check gives a Verdict: OK, or the rule that failed. Rules that every node of a computed class
// answers alike are asked once per class.
package feasible
