// Package jobspec turns job files into jobs.
//
// There are two front ends, HCL2 (native syntax and its JSON profile) and the API's JSON form, and one grammar: the
// table in grammar*.go states for every block and attribute its HCL name, its JSON field, its type, its default and
// whether Drover acts on it yet. Both front ends check what they read against that table and produce the same tree of
// plain values keyed by JSON field names. On the tree, policies of the job are merged into its groups and tasks and
// defaults are filled in; then it becomes a model.Job in which nothing is left unset.
//
//	HCL  ──read──┐
//	             ├── tree ── merge ── defaults ── decode ──> model.Job
//	JSON ──read──┘
//
// Mistakes are Diagnostics: each names the place, shows the line and, where a name was misspelt, what was meant.
package jobspec
