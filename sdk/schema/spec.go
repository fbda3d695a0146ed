// Package schema describes the configuration a plugin takes, made from Go struct tags by authors and carried over the
// wire to hosts, and turns a job's config block into the bytes a plugin decodes.
package schema

// Kind says what a Spec stands for.
type Kind string

// The kinds of specs.
const (
	KindObject     Kind = "object"
	KindArray      Kind = "array"
	KindAttr       Kind = "attr"
	KindBlock      Kind = "block"
	KindBlockAttrs Kind = "block_attrs"
	KindBlockList  Kind = "block_list"
	KindBlockSet   Kind = "block_set"
	KindBlockMap   Kind = "block_map"
	KindDefault    Kind = "default"
	KindLiteral    Kind = "literal"
)

// Spec is one node of a schema: a tree of objects, attributes and blocks as HCL's own decoder knows them. Which fields
// count depends on Kind. It marshals to JSON as it is, so that hosts can store it.
type Spec struct {
	Kind Kind `json:"kind"`

	// Object: the specs of its keys. A key is the default name of the attribute or block directly below it.
	Attributes map[string]*Spec `json:"attributes,omitempty"`
	// Array: the specs of a tuple.
	Values []*Spec `json:"values,omitempty"`

	// Attr and the blocks: name in the configuration; below an Object it may be left to the key.
	Name string `json:"name,omitempty"`
	// Attr and BlockAttrs: a type expression, such as string, list(map(string)) or any.
	Type     string `json:"type,omitempty"`
	Required bool   `json:"required,omitempty"`

	// BlockList and BlockSet: how many blocks; 0 = not checked.
	MinItems uint64 `json:"min_items,omitempty"`
	MaxItems uint64 `json:"max_items,omitempty"`
	// BlockMap: the names of its labels, at least one.
	Labels []string `json:"labels,omitempty"`
	// Blocks: what is inside.
	Nested *Spec `json:"nested,omitempty"`

	// Default: Primary unless it is null, else Default.
	Primary *Spec `json:"primary,omitempty"`
	Default *Spec `json:"default,omitempty"`

	// Literal: an HCL expression; text needs its own quotes.
	Value string `json:"value,omitempty"`
}

// Limits of a schema that comes from a plugin.
const (
	MaxDepth = 32
	MaxNodes = 10_000
)
