package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/droverhq/drover/core/jobspec"
	"github.com/droverhq/drover/core/model"
)

// loneTask is one task of a job file, to be run without a cluster.
type loneTask struct {
	job   *model.Job
	group *model.TaskGroup
	task  *model.Task
}

// loneTask reads a file that holds a job, or just a task block. name picks a task; empty picks the first.
func (a *app) loneTask(path, name string) (*loneTask, error) {
	src, file, err := a.source(path)
	if err != nil {
		return nil, err
	}
	wrapped, line := wrapTask(src)
	parsed, err := jobspec.Parse(jobspec.ParseConfig{Filename: file, Source: wrapped, AllowFS: true, Env: a.jobVariables()})
	if err != nil {
		return nil, unwrapLines(err, line)
	}
	for _, g := range parsed.Job.TaskGroups {
		for _, t := range g.Tasks {
			if name == "" || t.Name == name {
				return &loneTask{parsed.Job, g, t}, nil
			}
		}
	}
	if name == "" {
		return nil, fmt.Errorf("%s: there is no task", file)
	}
	return nil, fmt.Errorf("%s: there is no task named %q", file, name)
}

// The lines that make a job of a task block.
const (
	wrapBefore = "job \"task\" {\ngroup \"task\" {\n"
	wrapAfter  = "\n}\n}\n"
	wrapLines  = 2
)

// wrapTask puts a job around a top-level task block. line is where the block begins, 0 if there is none: then the file
// is returned as it is, and the parser says what is wrong with it.
func wrapTask(src []byte) (wrapped []byte, line int) {
	f, diags := hclsyntax.ParseConfig(src, "", hcl.InitialPos)
	if diags.HasErrors() {
		return src, 0
	}
	for _, b := range f.Body.(*hclsyntax.Body).Blocks {
		if b.Type == "task" {
			r := b.Range()
			start, end := r.Start.Byte, b.CloseBraceRange.End.Byte
			return []byte(string(src[:start]) + wrapBefore + string(src[start:end]) + wrapAfter + string(src[end:])), r.Start.Line
		}
	}
	return src, 0
}

// unwrapLines makes an error's places those of the file that the user wrote.
func unwrapLines(err error, line int) error {
	var diags jobspec.Diagnostics
	if line == 0 || !errors.As(err, &diags) {
		return err
	}
	for i := range diags {
		if diags[i].Line >= line+wrapLines {
			diags[i].Line -= wrapLines
		}
		diags[i].Path = strings.TrimPrefix(diags[i].Path, `job "task" > group "task" > `)
	}
	return diags
}
