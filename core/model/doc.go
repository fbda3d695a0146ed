// Package model is Drover's domain: jobs, nodes, allocations, evaluations and deployments as plain data.
//
// The same structs are what the HTTP API answers, what the state store keeps and what servers and nodes send each
// other, so a field exists once. Field names are the JSON names that existing clients know; durations are
// time.Duration and therefore integers of nanoseconds in JSON; times are int64 nanoseconds since the epoch unless a
// comment says otherwise.
//
// Values in state are immutable: whoever wants to change one copies it first (the Copy methods copy deeply enough that
// no map or slice is shared with the original where it may be changed).
//
// A Job that has passed jobspec is complete: every default is filled in, so no reader has to ask "unset or zero?".
package model
