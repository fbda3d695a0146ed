package feasible

import (
	"strings"

	"github.com/droverhq/drover/core/model"
)

// Target is one side of a constraint, or a spread's attribute: a literal or a reference to a node's property.
type Target struct {
	text   string
	key    string
	source source
}

type source uint8

const (
	literal source = iota
	nodeID
	nodeName
	nodeDatacenter
	nodeClass
	nodePool
	nodeAttr
	nodeMeta
	mixed // text with references in it
	unknown
)

// ParseTarget reads a constraint's side. Text without "${" stands for itself.
func ParseTarget(text string) Target {
	ref, ok := strings.CutPrefix(text, "${")
	if first := strings.Index(text, "}"); strings.Contains(text, "${") && (!ok || first >= 0 && first < len(text)-1) {
		return Target{text: text, source: mixed}
	}
	if !ok {
		return Target{text: text}
	}
	ref, ok = strings.CutSuffix(ref, "}")
	if !ok {
		return Target{text: text, source: unknown}
	}
	switch ref {
	case "node.unique.id":
		return Target{text: text, source: nodeID}
	case "node.unique.name":
		return Target{text: text, source: nodeName}
	case "node.datacenter":
		return Target{text: text, source: nodeDatacenter}
	case "node.class":
		return Target{text: text, source: nodeClass}
	case "node.pool":
		return Target{text: text, source: nodePool}
	}
	if key, ok := strings.CutPrefix(ref, "attr."); ok {
		return Target{text: text, source: nodeAttr, key: key}
	}
	if key, ok := strings.CutPrefix(ref, "meta."); ok {
		return Target{text: text, source: nodeMeta, key: key}
	}
	return Target{text: text, source: unknown}
}

// Unique tells whether nodes of one computed class may differ in the target.
func (t Target) Unique() bool {
	switch t.source {
	case nodeID, nodeName:
		return true
	case nodeAttr, nodeMeta:
		return strings.HasPrefix(t.key, "unique.")
	case mixed:
		return strings.Contains(t.text, ".unique.")
	}
	return false
}

// Value returns the target's value on a node; false when the node has none.
func (t Target) Value(n *model.Node) (string, bool) {
	switch t.source {
	case literal:
		return t.text, true
	case nodeID:
		return n.ID, true
	case nodeName:
		return n.Name, true
	case nodeDatacenter:
		return n.Datacenter, true
	case nodeClass:
		return n.NodeClass, true
	case nodePool:
		return n.NodePool, true
	case nodeAttr:
		v, ok := n.Attributes[t.key]
		return v, ok
	case nodeMeta:
		v, ok := n.Meta[t.key]
		return v, ok
	case mixed:
		return expand(t.text, n)
	}
	return "", false
}

// expand replaces every ${...} in text by its value on the node; false when one has none.
func expand(text string, n *model.Node) (string, bool) {
	var out strings.Builder
	for {
		start := strings.Index(text, "${")
		if start < 0 {
			out.WriteString(text)
			return out.String(), true
		}
		end := strings.IndexByte(text[start:], '}')
		if end < 0 {
			return "", false
		}
		v, ok := ParseTarget(text[start : start+end+1]).Value(n)
		if !ok {
			return "", false
		}
		out.WriteString(text[:start])
		out.WriteString(v)
		text = text[start+end+1:]
	}
}
