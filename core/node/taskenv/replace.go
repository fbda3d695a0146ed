package taskenv

import (
	"strings"
)

// Replace replaces ${name}, ${node.x}, ${attr.x}, ${meta.x} and ${env["name"]}. What it does not know stays as written.
func (e *Env) Replace(s string) string {
	if !strings.Contains(s, "${") {
		return s
	}
	var b strings.Builder
	for {
		start := strings.Index(s, "${")
		if start < 0 {
			break
		}
		end := strings.IndexByte(s[start:], '}')
		if end < 0 {
			break
		}
		end += start
		b.WriteString(s[:start])
		if v, ok := e.value(s[start+2 : end]); ok {
			b.WriteString(v)
			s = s[end+1:]
			continue
		}
		b.WriteString("${") // unknown: go on behind the brace, something inside may be known
		s = s[start+2:]
	}
	b.WriteString(s)
	return b.String()
}

// ReplaceAll returns a copy with Replace applied to each text.
func (e *Env) ReplaceAll(list []string) []string {
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = e.Replace(s)
	}
	return out
}

func (e *Env) value(name string) (string, bool) {
	name = strings.TrimSpace(name)
	if quoted, ok := strings.CutPrefix(name, "env["); ok {
		name = strings.Trim(strings.TrimSuffix(quoted, "]"), `"`)
		v, ok := e.vars[name]
		return v, ok
	}
	if v, ok := e.vars[name]; ok {
		return v, true
	}
	v, ok := e.node[name]
	return v, ok
}
