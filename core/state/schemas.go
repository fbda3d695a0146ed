package state

import (
	"iter"

	"github.com/droverhq/drover/core/model"
)

// Schema is the task configuration that one version of a driver takes, in its wire form.
type Schema struct {
	Driver  string
	Version string
	Digest  string
	Spec    []byte
}

// Schemas lists the different schemas of a driver that nodes have.
func (s *Snapshot) Schemas(driver string) []*Schema {
	return collect(each[*Schema](s, TableSchemas, byID+prefix, driver, ""))
}

// Schema returns the schema of a driver with that digest, nil when no node has it.
func (s *Snapshot) Schema(driver, digest string) *Schema {
	return one[*Schema](s, TableSchemas, byID, driver, digest)
}

// DriverOnNodes tells whether any node has the driver.
func (s *Snapshot) DriverOnNodes(driver string) bool {
	for n := range s.Nodes() {
		if d := n.Drivers[driver]; d != nil && d.Detected {
			return true
		}
	}
	return false
}

// SchemaNodes lists the IDs of the nodes that have a schema.
func (s *Snapshot) SchemaNodes(driver, digest string) iter.Seq[string] {
	rows := each[*schemaNode](s, tableSchemaNodes, byID+prefix, driver, digest, "")
	return func(yield func(string) bool) {
		for r := range rows {
			if !yield(r.NodeID) {
				return
			}
		}
	}
}

// registerSchemas keeps those schemas that a node's drivers name.
func (tx *Txn) registerSchemas(n *model.Node, schemas []*Schema) {
	has := map[[2]string]bool{}
	for name, d := range n.Drivers {
		if d.SchemaDigest != "" {
			has[[2]string{name, d.SchemaDigest}] = true
		}
	}
	for _, s := range schemas {
		has[[2]string{s.Driver, s.Digest}] = true
		if tx.Schema(s.Driver, s.Digest) == nil {
			tx.insert(TableSchemas, s)
		}
	}
	tx.dropSchemas(n.ID, has)
	for key := range has {
		if tx.Schema(key[0], key[1]) == nil {
			continue // the node names a schema that it did not send
		}
		if one[*schemaNode](tx.Snapshot, tableSchemaNodes, byID, key[0], key[1], n.ID) == nil {
			tx.insert(tableSchemaNodes, &schemaNode{key[0], key[1], n.ID})
		}
	}
}

// dropSchemas forgets that a node has schemas, except those in keep, and schemas that no node has any more.
func (tx *Txn) dropSchemas(nodeID string, keep map[[2]string]bool) {
	for _, row := range collect(each[*schemaNode](tx.Snapshot, tableSchemaNodes, byNode, nodeID)) {
		if keep[[2]string{row.Driver, row.Digest}] {
			continue
		}
		tx.remove(tableSchemaNodes, row)
		used := false
		for range tx.SchemaNodes(row.Driver, row.Digest) {
			used = true
			break
		}
		if s := tx.Schema(row.Driver, row.Digest); s != nil && !used {
			tx.remove(TableSchemas, s)
		}
	}
}
