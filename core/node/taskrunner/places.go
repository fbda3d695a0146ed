package taskrunner

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/core/node/allocdir"
	"github.com/droverhq/drover/core/node/template"
	"github.com/droverhq/drover/sdk/driver"
)

// place finds a file of the task that the job names: a path beneath the task's own directory, or one as the task sees
// it (/local/x where the driver brings its own root), or one in the directory that the group shares (alloc/x, ../alloc/x).
func (r *Runner) place(task string, isolation driver.FSIsolation, file string) (template.Place, error) {
	view := r.dirsFor(task, isolation)
	own := r.dirsFor(task, driver.FSNone)
	slash := filepath.ToSlash(file)
	for _, d := range [][2]string{
		{own.Alloc, own.Alloc}, {own.Task, own.Task}, {own.Secrets, own.Secrets},
		{view.Alloc, own.Alloc}, {view.Task, own.Task}, {view.Secrets, own.Secrets},
	} {
		if rest, ok := beneath(slash, filepath.ToSlash(d[0])); ok {
			return r.checked(d[1], rest, file)
		}
	}
	if filepath.VolumeName(file) != "" {
		return template.Place{}, fmt.Errorf("path %q is not in the task's directory", file)
	}
	rel := path.Clean(strings.TrimLeft(slash, "/"))
	for _, d := range [][2]string{
		{allocdir.LocalName, own.Task}, {allocdir.SecretsName, own.Secrets}, {allocdir.SharedName, own.Alloc}, {"../" + allocdir.SharedName, own.Alloc},
	} {
		if rest, ok := beneath(rel, d[0]); ok {
			return r.checked(d[1], rest, file)
		}
	}
	if rest, ok := beneath(rel, allocdir.PrivateName); ok {
		return template.Place{}, fmt.Errorf("path %q is the node's own (%s)", file, rest)
	}
	return r.checked(r.cfg.Dir.Task(task), rel, file)
}

// beneath returns what of p lies below dir; dir itself is ".".
func beneath(p, dir string) (string, bool) {
	if p == dir || strings.TrimSuffix(p, "/") == dir {
		return ".", true
	}
	rest, ok := strings.CutPrefix(p, strings.TrimSuffix(dir, "/")+"/")
	return rest, ok
}

func (r *Runner) checked(root, rel, file string) (template.Place, error) {
	rel = path.Clean(strings.TrimLeft(rel, "/"))
	if !filepath.IsLocal(filepath.FromSlash(rel)) {
		return template.Place{}, fmt.Errorf("path %q leads out of the task's directory", file)
	}
	return template.Place{Root: root, Rel: rel, Allocation: r.cfg.Dir.Root()}, nil
}
