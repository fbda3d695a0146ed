package jobspec

import "slices"

// Kind is the type of a field's value.
type Kind int

// The kinds of values that the grammar knows, and how the tree holds them.
const (
	String    Kind = iota // string
	Int                   // int64
	Bool                  // bool
	Duration              // int64, nanoseconds
	Bytes                 // string, base64 (JSON only)
	Strings               // []any of string
	StringMap             // map[string]any of string; in HCL a block or an attribute
	ListMap               // map[string]any of []any of string; in HCL a block or an attribute
	Free                  // map[string]any of anything; in HCL a block or an attribute
	Config                // Free, where top-level objects become lists of one object
	One                   // tree: a block that may appear once
	Many                  // []any of tree: a block that may be repeated
	Keyed                 // map[string]any of tree: a repeated block whose label is the key
)

// String names the kind as error messages do.
func (k Kind) String() string {
	return [...]string{"a string", "a number", "a bool", "a duration", "base64 text", "a list of strings",
		"a map of strings", "a map of lists of strings", "an object", "an object", "an object", "a list of objects",
		"a map of objects"}[k]
}

// isBlock tells whether the field is written as a block with a grammar of its own.
func (k Kind) isBlock() bool { return k == One || k == Many || k == Keyed }

// mapLike tells whether the field may be written as a block or as an attribute.
func (k Kind) mapLike() bool { return k == StringMap || k == ListMap || k == Free || k == Config }

// Block is the grammar of one block.
type Block struct {
	Name   string // as in HCL
	Fields []Field

	// fold rewrites what HCL writes differently from JSON (shorthands, ports, push-downs), after the body was read.
	fold func(r *reader, t tree, at place)
}

// Field is one row of the grammar: an attribute or a nested block.
type Field struct {
	HCL  string // name in job files; "" = JSON only
	JSON string // name in the API; "" = HCL only, folded into other fields while reading
	Kind Kind

	// Acted tells whether Drover does what the field asks for. A job that sets a field that is not acted on is
	// refused at submit by Refuse.
	Acted bool
	// ActedValues, when not nil, are the only values of a string field that are acted on yet.
	ActedValues []string

	Default any    // nil = the zero value; byType chooses by job type
	Doc     string // one line for people

	Of       *Block   // grammar of a nested block
	Label    string   // JSON field of the nested block that its label fills; "" = no label
	Present  []string // job types for which an absent One block is made with its defaults
	Required bool     // must be written
	Lo, Hi   int64    // inclusive bounds of an Int; both 0 = unbounded
}

// byType is a default that depends on the job's type; a type that is not listed gets the zero value.
type byType map[string]any

// The "acted on yet?" column. A later release that acts on a field changes notYet to yes in its row.
const (
	yes    = true
	notYet = false
)

// allTypes are the job types that users may name.
var allTypes = []string{"service", "batch", "system", "sysbatch"}

func attr(hcl, json string, kind Kind, acted bool, def any, doc string) Field {
	return Field{HCL: hcl, JSON: json, Kind: kind, Acted: acted, Default: def, Doc: doc}
}

func block(hcl, json string, acted bool, of *Block, doc string) Field {
	return Field{HCL: hcl, JSON: json, Kind: One, Acted: acted, Of: of, Doc: doc}
}

func blocks(hcl, json string, acted bool, of *Block, doc string) Field {
	return Field{HCL: hcl, JSON: json, Kind: Many, Acted: acted, Of: of, Doc: doc}
}

// labelled makes the nested block carry one label that fills its JSON field.
func (f Field) labelled(json string) Field { f.Label = json; return f }

// keyed makes a repeated block a JSON object with the label as key.
func (f Field) keyed(json string) Field { f.Label, f.Kind = json, Keyed; return f }

// present makes the block exist for these job types even when it is not written.
func (f Field) present(types ...string) Field { f.Present = types; return f }

// required makes leaving the field out an error.
func (f Field) required() Field { f.Required = true; return f }

// within bounds an Int.
func (f Field) within(lo, hi int64) Field { f.Lo, f.Hi = lo, hi; return f }

// only lists the values that are acted on so far.
func (f Field) only(values ...string) Field { f.ActedValues = values; return f }

// defaultFor returns the field's default in a job of that type, nil when there is none.
func (f *Field) defaultFor(jobType string) any {
	if t, ok := f.Default.(byType); ok {
		return t[jobType]
	}
	return f.Default
}

// hclField returns the field with that HCL name, nil when there is none.
func (b *Block) hclField(name string) *Field {
	if name == "" {
		return nil
	}
	i := slices.IndexFunc(b.Fields, func(f Field) bool { return f.HCL == name })
	if i < 0 {
		return nil
	}
	return &b.Fields[i]
}

// key is where the tree holds the field: under its JSON name, or, when it has none, under a name that only fold
// functions know and remove.
func (f *Field) key() string {
	if f.JSON != "" {
		return f.JSON
	}
	return "hcl:" + f.HCL
}

// tree is a block's content while it is on its way to a job: values by JSON field name, absent means not written.
type tree = map[string]any
