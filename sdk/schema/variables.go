package schema

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Variables are the values that ${...} in a task's config can take.
type Variables struct {
	// Env is the task's environment. ${NAME} and ${env["NAME"]} read it; dots in names may be written as steps.
	Env map[string]string
	// Node is what is known of the node under its full names: "node.unique.id", "attr.cpu.arch", "meta.rack".
	Node map[string]string
}

// envRoot is the name under which the environment can be indexed.
const envRoot = "env"

// resolve builds just the values that the configuration uses, each under the steps by which it is reached. This way
// names that are also prefixes of others ("attr.driver.x" and "attr.driver.x.version") do not get in each other's way.
func (vars *Variables) resolve(used []hcl.Traversal) map[string]cty.Value {
	if vars == nil {
		return nil
	}
	root := &branch{}
	for _, name := range []string{"node", "attr", "meta"} {
		root.child(name)
	}
	for _, t := range used {
		steps := stepsOf(t)
		if len(steps) == 0 || steps[0] == envRoot {
			continue
		}
		vars.place(root, steps)
	}
	values := make(map[string]cty.Value, len(root.children)+1)
	for name, b := range root.children {
		values[name] = b.value()
	}
	env := make(map[string]cty.Value, len(vars.Env))
	for name, value := range vars.Env {
		env[name] = cty.StringVal(value)
	}
	values[envRoot] = cty.MapValEmpty(cty.String)
	if len(env) > 0 {
		values[envRoot] = cty.MapVal(env)
	}
	return values
}

// place puts the value that the longest part of the steps names into the tree.
func (vars *Variables) place(root *branch, steps []string) {
	for n := len(steps); n > 0; n-- {
		value, ok := vars.lookup(strings.Join(steps[:n], "."))
		if !ok {
			continue
		}
		b := root
		for _, step := range steps[:n] {
			b = b.child(step)
		}
		b.text = &value
		return
	}
}

func (vars *Variables) lookup(name string) (string, bool) {
	if value, ok := vars.Env[name]; ok {
		return value, true
	}
	value, ok := vars.Node[name]
	return value, ok
}

// branch is a tree of values by name.
type branch struct {
	text     *string
	children map[string]*branch
}

func (b *branch) child(name string) *branch {
	if b.children == nil {
		b.children = map[string]*branch{}
	}
	if b.children[name] == nil {
		b.children[name] = &branch{}
	}
	return b.children[name]
}

func (b *branch) value() cty.Value {
	if b.text != nil && len(b.children) == 0 {
		return cty.StringVal(*b.text)
	}
	values := make(map[string]cty.Value, len(b.children))
	for name, c := range b.children {
		values[name] = c.value()
	}
	return cty.ObjectVal(values)
}

// stepsOf names the steps of a traversal up to the first that is not a name.
func stepsOf(t hcl.Traversal) []string {
	var steps []string
	for _, step := range t {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			steps = append(steps, s.Name)
		case hcl.TraverseAttr:
			steps = append(steps, s.Name)
		case hcl.TraverseIndex:
			if !s.Key.Type().Equals(cty.String) || s.Key.IsNull() {
				return steps
			}
			steps = append(steps, s.Key.AsString())
		default:
			return steps
		}
	}
	return steps
}

// unknown gives every variable a value that fits everywhere.
func unknown(used []hcl.Traversal) map[string]cty.Value {
	values := make(map[string]cty.Value, len(used))
	for _, t := range used {
		values[t.RootName()] = cty.DynamicVal
	}
	return values
}
