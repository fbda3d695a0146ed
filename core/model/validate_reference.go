package model

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// references are the roots of what texts of a task may refer to as ${root.name}.
var references = []string{"node", "attr", "meta", "env", "device", "secret"}

// checkReferences refuses references to nothing in what the node replaces: env, and the paths of templates and
// artifacts. Upper-case names may be variables of the node's environment, of a hook or of a template; the driver's config
// may hold programs in languages that write ${...} too.
func (c *checker) checkReferences(w where, t *Task) {
	bare := !slices.ContainsFunc(t.Templates, func(x *Template) bool { return x.Envvars })
	check := func(w where, what, text string) {
		for _, m := range envReference.FindAllStringSubmatch(text, -1) {
			if why := unknownReference(m[2], t.Env, bare); why != "" {
				c.fail(w, "%s refers to ${%s}: %s", what, m[2], why)
			}
		}
	}
	for _, k := range sortedKeys(t.Env) {
		check(w.in("env"), k, t.Env[k])
	}
	for i, x := range t.Templates {
		w := w.in(fmt.Sprintf("template %d", i+1))
		check(w, "destination", x.DestPath)
		check(w, "source", x.SourcePath)
	}
	for i, a := range t.Artifacts {
		w := w.in(fmt.Sprintf("artifact %d", i+1))
		check(w, "destination", a.RelativeDest)
		check(w, "source", a.GetterSource)
	}
}

// unknownReference tells why a name can stand for nothing, "" when it may. bare says that plain names are looked at too.
func unknownReference(name string, env map[string]string, bare bool) string {
	if _, ours := env[name]; ours || name == "" || strings.IndexFunc(name, notInName) >= 0 {
		return ""
	}
	root, _, dotted := strings.Cut(name, ".")
	switch {
	case dotted && slices.Contains(references, root), strings.HasPrefix(name, "NOMAD_"), strings.HasPrefix(name, "DROVER_"):
		return ""
	case dotted:
		return fmt.Sprintf("there is no %q to refer to, only %s", root, orList(references))
	case !bare || strings.IndexFunc(name, unicode.IsLower) < 0 || strings.HasSuffix(name, "_proxy"):
		return ""
	}
	return "no such variable is in the task's env; write $${" + name + "} for the text itself"
}

func notInName(r rune) bool {
	return r != '_' && r != '.' && r != '-' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
}
