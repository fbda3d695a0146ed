package state

import (
	"encoding/binary"
	"fmt"

	"github.com/hashicorp/go-memdb"

	"github.com/droverhq/drover/core/model"
)

// Table names a table. Each has an index of its own: that of the last entry that changed it.
type Table string

// The tables.
const (
	TableNodes           Table = "nodes"
	TableJobs            Table = "jobs"
	TableJobVersions     Table = "job_versions"
	TableJobSummaries    Table = "job_summaries"
	TableJobSubmissions  Table = "job_submissions"
	TableEvals           Table = "evals"
	TableAllocs          Table = "allocs"
	TableDeployments     Table = "deployments"
	TableSchedulerConfig Table = "scheduler_config"
	TableAutopilotConfig Table = "autopilot_config"
	TableNamespaces      Table = "namespaces"
	TableNodePools       Table = "node_pools"
	TableServices        Table = "services"
	TableSchemas         Table = "schemas"
	TableScaling         Table = "scaling"
	TableIntroTokens     Table = "intro_tokens"
	TablePeriodic        Table = "periodic"

	tableIndexes     Table = "indexes"      // the index of each table
	tableCluster     Table = "cluster"      // one row
	tableCounts      Table = "counts"       // what a job's status is derived from
	tableSchemaNodes Table = "schema_nodes" // which nodes have which schema
)

// The indexes besides "id".
const (
	byID      = "id"
	byJob     = "job"
	byNode    = "node"
	byAlloc   = "alloc"
	byService = "service"
	byParent  = "parent"
	prefix    = "_prefix"
)

// tableIndex is a row of the table of indexes.
type tableIndex struct {
	Table Table
	Index uint64
}

// schemaNode says that a node has a driver whose task configuration follows a schema.
type schemaNode struct {
	Driver, Digest, NodeID string
}

// keys makes the keys of an index out of strings. Each part ends with a zero byte, so a key is never the beginning of
// another one with as many parts. A value for which parts returns nil is not in the index.
type keys[T any] struct{ parts func(T) []string }

func (k keys[T]) FromObject(raw any) (bool, []byte, error) {
	v, ok := raw.(T)
	if !ok {
		return false, nil, fmt.Errorf("row is a %T", raw)
	}
	p := k.parts(v)
	if p == nil {
		return false, nil, nil
	}
	return true, join(p, true), nil
}

func (k keys[T]) FromArgs(args ...any) ([]byte, error) {
	p, err := texts(args)
	return join(p, true), err
}

// PrefixFromArgs leaves the last part open.
func (k keys[T]) PrefixFromArgs(args ...any) ([]byte, error) {
	p, err := texts(args)
	return join(p, false), err
}

func texts(args []any) ([]string, error) {
	p := make([]string, len(args))
	for i, a := range args {
		s, ok := a.(string)
		if !ok {
			return nil, fmt.Errorf("key part %d is a %T", i, a)
		}
		p[i] = s
	}
	return p, nil
}

func join(parts []string, closed bool) []byte {
	n := 0
	for _, p := range parts {
		n += len(p) + 1
	}
	b := make([]byte, 0, n)
	for i, p := range parts {
		b = append(b, p...)
		if closed || i < len(parts)-1 {
			b = append(b, 0)
		}
	}
	return b
}

// number is a part that sorts as a number does.
func number(n uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return string(b[:])
}

func unique[T any](parts func(T) []string) *memdb.IndexSchema {
	return &memdb.IndexSchema{Name: byID, Unique: true, Indexer: keys[T]{parts}}
}

func secondary[T any](name string, parts func(T) []string) *memdb.IndexSchema {
	return &memdb.IndexSchema{Name: name, AllowMissing: true, Indexer: keys[T]{parts}}
}

func table(t Table, indexes ...*memdb.IndexSchema) *memdb.TableSchema {
	s := &memdb.TableSchema{Name: string(t), Indexes: map[string]*memdb.IndexSchema{}}
	for _, i := range indexes {
		s.Indexes[i.Name] = i
	}
	return s
}

func schema() *memdb.DBSchema {
	s := &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{}}
	for _, t := range []*memdb.TableSchema{
		table(tableIndexes, unique(func(i *tableIndex) []string { return []string{string(i.Table)} })),
		table(TableNodes, unique(func(n *model.Node) []string { return []string{n.ID} })),
		table(TableJobs,
			unique(func(j *model.Job) []string { return []string{j.Namespace, j.ID} }),
			secondary(byParent, func(j *model.Job) []string {
				if j.ParentID == "" {
					return nil
				}
				return []string{j.Namespace, j.ParentID}
			})),
		table(TableJobVersions, unique(func(j *model.Job) []string {
			return []string{j.Namespace, j.ID, number(j.CreateIndex), number(j.Version)}
		})),
		table(TableJobSummaries, unique(func(s *model.JobSummary) []string { return []string{s.Namespace, s.JobID} })),
		table(TableJobSubmissions, unique(func(s *model.JobSubmission) []string {
			return []string{s.Namespace, s.JobID, number(s.Version)}
		})),
		table(tableCounts, unique(func(c *jobCounts) []string { return []string{c.Namespace, c.JobID} })),
		table(TableEvals,
			unique(func(e *model.Evaluation) []string { return []string{e.ID} }),
			secondary(byJob, func(e *model.Evaluation) []string { return []string{e.Namespace, e.JobID} })),
		table(TableDeployments,
			unique(func(d *model.Deployment) []string { return []string{d.ID} }),
			secondary(byJob, func(d *model.Deployment) []string { return []string{d.Namespace, d.JobID} })),
		table(TableSchedulerConfig, unique(func(*model.SchedulerConfig) []string { return []string{"global"} })),
		table(TableAutopilotConfig, unique(func(*model.AutopilotConfig) []string { return []string{"global"} })),
		table(TableNamespaces, unique(func(n *model.Namespace) []string { return []string{n.Name} })),
		table(TableNodePools, unique(func(p *model.NodePool) []string { return []string{p.Name} })),
		table(TableServices,
			unique(func(r *model.ServiceRegistration) []string { return []string{r.ID} }),
			secondary(byService, func(r *model.ServiceRegistration) []string { return []string{r.Namespace, r.ServiceName} }),
			secondary(byAlloc, func(r *model.ServiceRegistration) []string { return []string{r.AllocID} }),
			secondary(byJob, func(r *model.ServiceRegistration) []string { return []string{r.Namespace, r.JobID} }),
			secondary(byNode, func(r *model.ServiceRegistration) []string { return []string{r.NodeID} })),
		table(TableSchemas, unique(func(s *Schema) []string { return []string{s.Driver, s.Digest} })),
		table(tableSchemaNodes,
			unique(func(s *schemaNode) []string { return []string{s.Driver, s.Digest, s.NodeID} }),
			secondary(byNode, func(s *schemaNode) []string { return []string{s.NodeID} })),
		table(TableScaling, unique(func(s *JobScaling) []string { return []string{s.Namespace, s.JobID} })),
		table(TableIntroTokens, unique(func(t *model.IntroToken) []string { return []string{t.ID} })),
		table(tableCluster, unique(func(*model.Cluster) []string { return []string{"cluster"} })),
		table(TablePeriodic, unique(func(p *PeriodicLaunch) []string { return []string{p.Namespace, p.JobID} })),
	} {
		s.Tables[t.Name] = t
	}
	return s
}
