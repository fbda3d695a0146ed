package jobspec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// toJob completes a tree (merges policies downwards, fills in defaults) and makes it a job. It changes the tree.
func toJob(t tree) (*model.Job, error) {
	complete(t)
	job := &model.Job{}
	if err := decode(t, job); err != nil {
		return nil, err
	}
	return job, nil
}

// complete turns what was written into what is meant.
func complete(t tree) {
	jobType, _ := t["Type"].(string)
	if jobType == "" {
		jobType = model.JobTypeService
	}
	mergePolicies(t, jobType)
	fill(grammar(), t, jobType)
	completeJob(t)
}

// mergePolicies hands the job's update, reschedule and migrate to its groups and a group's restart to its tasks, field
// by field: what the inner block says stays.
func mergePolicies(t tree, jobType string) {
	for _, p := range []struct{ job, group string }{
		{"Update", "Update"}, {"Reschedule", "ReschedulePolicy"}, {"Migrate", "Migrate"}} {
		outer, ok := t[p.job].(tree)
		if p.job != "Update" {
			delete(t, p.job) // the groups hold it from here on
		}
		if !ok {
			continue
		}
		for _, g := range list(t, "TaskGroups") {
			g[p.group] = merged(outer, g[p.group])
		}
	}
	for _, g := range list(t, "TaskGroups") {
		outer, ok := g["RestartPolicy"].(tree)
		if !ok {
			continue
		}
		for _, task := range list(g, "Tasks") {
			task["RestartPolicy"] = merged(outer, task["RestartPolicy"])
		}
	}
}

func merged(outer tree, inner any) tree {
	out := copyTree(outer).(tree)
	own, _ := inner.(tree)
	for k, v := range own {
		out[k] = v
	}
	return out
}

// fill sets every field of the block that has a default and was not written, and those of the blocks inside.
func fill(b *Block, t tree, jobType string) {
	for i := range b.Fields {
		f := &b.Fields[i]
		if f.JSON == "" {
			continue
		}
		v, ok := t[f.JSON]
		if !ok && slices.Contains(f.Present, jobType) {
			v = tree{}
			t[f.JSON] = v
		}
		if !ok && f.Default != nil {
			if def := f.defaultFor(jobType); def != nil {
				t[f.JSON] = copyTree(def)
			}
		}
		switch f.Kind {
		case One:
			if sub, ok := v.(tree); ok {
				fill(f.Of, sub, jobType)
			}
		case Many:
			for _, sub := range list(t, f.JSON) {
				fill(f.Of, sub, jobType)
			}
		case Keyed:
			m, _ := v.(tree)
			for name, x := range m {
				if sub, ok := x.(tree); ok {
					if _, named := sub[f.Label]; !named {
						sub[f.Label] = name
					}
					fill(f.Of, sub, jobType)
				}
			}
		}
	}
}

// completeJob sets what depends on more than a field's own block.
func completeJob(t tree) {
	if text(t, "Name") == "" {
		t["Name"] = text(t, "ID")
	}
	for _, key := range []string{"NodePool", "Namespace", "Region", "Type"} { // written as "" counts as not written
		if text(t, key) == "" {
			t[key] = grammarDefault(key)
		}
	}
	if t["Priority"] == int64(0) {
		t["Priority"] = grammarDefault("Priority")
	}
	for _, g := range list(t, "TaskGroups") {
		completeGroup(t, g)
	}
}

func grammarDefault(json string) any {
	for _, f := range grammar().Fields {
		if f.JSON == json {
			return f.Default
		}
	}
	return nil
}

func completeGroup(job, g tree) {
	scaling, _ := g["Scaling"].(tree)
	if _, ok := g["Count"]; !ok {
		g["Count"] = int64(1)
		if n, ok := scaling["Min"]; ok {
			g["Count"] = n
		}
	}
	if _, ok := scaling["Min"]; scaling != nil && !ok {
		scaling["Min"] = g["Count"]
	}
	for _, s := range list(g, "Services") {
		completeService(s, text(job, "ID"), text(g, "Name"), "")
	}
	for _, task := range list(g, "Tasks") {
		completeTask(job, g, task)
	}
}

func completeTask(job, g, task tree) {
	res := task["Resources"].(tree)
	if _, ok := res["CPU"]; !ok && (res["Cores"] == nil || res["Cores"] == int64(0)) {
		res["CPU"] = int64(100)
	}
	logs := task["LogConfig"].(tree)
	if enabled, ok := logs["Enabled"].(bool); ok && !enabled {
		logs["Disabled"] = true
	}
	delete(logs, "Enabled")
	for _, s := range list(task, "Services") {
		if text(s, "TaskName") == "" {
			s["TaskName"] = task["Name"]
		}
		completeService(s, text(job, "ID"), text(g, "Name"), text(task, "Name"))
	}
	for _, t := range list(task, "Templates") {
		if text(t, "ChangeMode") == "signal" && text(t, "ChangeSignal") == "" {
			t["ChangeSignal"] = "SIGHUP"
		}
		if s := text(t, "ChangeSignal"); s != "" {
			t["ChangeSignal"] = strings.ToUpper(s)
		}
	}
	if v, ok := task["Vault"].(tree); ok && text(v, "ChangeMode") == "signal" && text(v, "ChangeSignal") == "" {
		v["ChangeSignal"] = "SIGHUP"
	}
	for _, a := range list(task, "Artifacts") {
		completeArtifact(a)
	}
	if id, ok := task["Identity"].(tree); ok {
		id["Name"] = "default"
	}
}

func completeArtifact(a tree) {
	if text(a, "RelativeDest") != "" {
		return
	}
	a["RelativeDest"] = "local/"
	if text(a, "GetterMode") == "file" {
		source, _, _ := strings.Cut(text(a, "GetterSource"), "?")
		a["RelativeDest"] = "local/" + source[strings.LastIndex(source, "/")+1:]
	}
}

// completeService names a service and its checks. Only ${JOB} and the like are expanded here; other references wait
// for the node.
func completeService(s tree, job, group, task string) {
	base := job + "-" + group
	if task != "" {
		base += "-" + task
	}
	name := text(s, "Name")
	if name == "" {
		name = "${BASE}"
	}
	s["Name"] = strings.NewReplacer("${JOB}", job, "${TASKGROUP}", group, "${TASK}", task, "${BASE}", base).Replace(name)
	restart, hasRestart := s["CheckRestart"]
	delete(s, "CheckRestart") // the default for the checks
	for _, c := range list(s, "Checks") {
		if _, own := c["CheckRestart"]; hasRestart && !own {
			c["CheckRestart"] = copyTree(restart)
		}
		if text(c, "Name") == "" {
			c["Name"] = fmt.Sprintf("service: %q check", s["Name"])
		}
		if text(c, "OnUpdate") == "" {
			c["OnUpdate"] = s["OnUpdate"]
		}
		if text(c, "Type") == "http" {
			if text(c, "Method") == "" {
				c["Method"] = "GET"
			}
			if text(c, "Protocol") == "" {
				c["Protocol"] = "http"
			}
		}
	}
	if w, ok := s["Weights"].(tree); ok {
		for _, k := range []string{"Passing", "Warning"} {
			if n, _ := w[k].(int64); n <= 0 {
				w[k] = int64(1)
			}
		}
	}
}

func text(t tree, key string) string {
	s, _ := t[key].(string)
	return s
}
