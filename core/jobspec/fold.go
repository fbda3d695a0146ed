package jobspec

import (
	"strings"
)

// The functions here rewrite what HCL writes differently from the API, right after a block's body was read.

// take removes and returns a field that only HCL has.
func take(t tree, name string) (any, bool) {
	v, ok := t["hcl:"+name]
	delete(t, "hcl:"+name)
	return v, ok
}

func takeList(t tree, name string) []any {
	v, _ := take(t, name)
	list, _ := v.([]any)
	return list
}

// list returns t[key] as a list of trees.
func list(t tree, key string) []tree {
	items, _ := t[key].([]any)
	out := make([]tree, 0, len(items))
	for _, x := range items {
		if m, ok := x.(tree); ok {
			out = append(out, m)
		}
	}
	return out
}

// copyTree copies a tree deeply, for what is pushed down to several places.
func copyTree(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = copyTree(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = copyTree(x)
		}
		return out
	}
	return v
}

// foldConstraint turns the short forms into operator and value.
func foldConstraint(r *reader, t tree, at place) {
	foldShort(r, t, at)
	if v, ok := take(t, "distinct_property"); ok {
		t["LTarget"], t["Operand"] = v, "distinct_property"
	}
	if v, ok := take(t, "distinct_hosts"); ok {
		t["Operand"], t["RTarget"] = "distinct_hosts", "false"
		if v == true {
			t["RTarget"] = "true"
		}
	}
	for _, op := range []string{"is_set", "is_not_set"} {
		if v, ok := take(t, op); ok && v == true {
			t["Operand"] = op
		}
	}
}

func foldAffinity(r *reader, t tree, at place) { foldShort(r, t, at) }

func foldShort(r *reader, t tree, at place) {
	var used []string
	for _, op := range []string{"version", "semver", "regexp", "set_contains", "set_contains_all", "set_contains_any"} {
		v, ok := take(t, op)
		if !ok {
			continue
		}
		used = append(used, op)
		t["Operand"], t["RTarget"] = op, v
	}
	if len(used) > 1 {
		r.fail(at, "only one of %s can be set; use one block for each", strings.Join(used, ", "))
	}
}

// foldNetwork parts ports into those with a fixed number and those that the scheduler chooses.
func foldNetwork(_ *reader, t tree, _ place) {
	for _, p := range takeList(t, "port") {
		key := "DynamicPorts"
		if n, ok := p.(tree)["Value"].(int64); ok && n > 0 {
			key = "ReservedPorts"
		}
		l, _ := t[key].([]any)
		t[key] = append(l, p)
	}
}

// foldIdentities tells the default identity from those with a name.
func foldIdentities(r *reader, t tree, at place) {
	var named []any
	for _, x := range takeList(t, "identity") {
		name, _ := x.(tree)["Name"].(string)
		if name != "" && name != "default" {
			named = append(named, x)
			continue
		}
		if _, twice := t["Identity"]; twice {
			r.fail(at, "there can be only one default identity; give the others a name")
		}
		t["Identity"] = x
	}
	if named != nil {
		t["Identities"] = named
	}
}

func foldTask(r *reader, t tree, at place) {
	foldIdentities(r, t, at)
	seen := map[string]bool{}
	for _, p := range list(t, "ScalingPolicies") {
		kind, _ := p["Type"].(string)
		if kind != "cpu" && kind != "mem" {
			r.fail(at, "scaling %q: a task's scaling is for \"cpu\" or \"mem\"", kind)
		}
		if seen[kind] {
			r.fail(at, "scaling %q is written twice", kind)
		}
		seen[kind] = true
		p["Type"] = "vertical_" + kind
	}
}

// foldGroup hands the group's vault and secrets to tasks that have none.
func foldGroup(_ *reader, t tree, _ place) {
	vault, hasVault := take(t, "vault")
	secrets := takeList(t, "secret")
	for _, task := range list(t, "Tasks") {
		if _, has := task["Vault"]; hasVault && !has {
			task["Vault"] = copyTree(vault)
		}
		if _, has := task["Secrets"]; secrets != nil && !has {
			task["Secrets"] = copyTree(secrets)
		}
	}
}

// foldJob makes groups of job-level tasks and hands the job's vault and secrets down.
func foldJob(r *reader, t tree, at place) {
	var groups []any
	for _, x := range takeList(t, "task") {
		g := tree{"Name": x.(tree)["Name"], "Tasks": []any{x}}
		foldGroup(r, g, at)
		groups = append(groups, g)
	}
	explicit, _ := t["TaskGroups"].([]any)
	if groups = append(groups, explicit...); groups != nil {
		t["TaskGroups"] = groups
	}
	vault, hasVault := take(t, "vault")
	secrets := takeList(t, "secret")
	for _, g := range list(t, "TaskGroups") {
		for _, task := range list(g, "Tasks") {
			if _, has := task["Vault"]; hasVault && !has {
				task["Vault"] = copyTree(vault)
			}
			if secrets != nil {
				own, _ := task["Secrets"].([]any)
				task["Secrets"] = append(own[:len(own):len(own)], copyTree(secrets).([]any)...)
			}
		}
	}
}
