package jobspec

import (
	"encoding/json"
	"path/filepath"
	"slices"

	"github.com/droverhq/drover/core/model"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// ParseConfig is what Parse needs to know.
type ParseConfig struct {
	Filename string // shown in errors; file functions work relative to its directory
	Source   []byte
	Vars     []string          // name=value, as given with -var; win over everything else
	VarFiles []VarFile         // in the order given; later ones win
	Env      map[string]string // environment: NOMAD_VAR_x and DROVER_VAR_x set x, the latter wins
	Strict   bool              // values for variables that are not declared are errors, not warnings
	AllowFS  bool              // functions may read files; off when the file comes over the network
	MaxSize  int               // bytes; 0 = DefaultMaxSize
}

// VarFile is a file of variable values, HCL or JSON.
type VarFile struct {
	Filename string
	Source   []byte
}

// File is a job file that was read.
type File struct {
	Job      *model.Job // complete: merged and with all defaults
	Warnings []string

	written tree // as written: no merges, no defaults
}

// JSON returns the job as the API takes it, holding only what was written.
func (f *File) JSON() ([]byte, error) { return json.Marshal(f.written) }

// Parse reads a job file in HCL or HCL's JSON profile. The error, if any, is a Diagnostics.
func Parse(cfg ParseConfig) (*File, error) {
	if err := checkSize(cfg.Filename, cfg.Source, cfg.MaxSize); err != nil {
		return nil, err
	}
	for _, f := range cfg.VarFiles {
		if err := checkSize(f.Filename, f.Source, cfg.MaxSize); err != nil {
			return nil, err
		}
	}
	c := &collector{files: map[string][]byte{cfg.Filename: cfg.Source}}
	t := readFile(c, cfg)
	if diags := c.result(); diags.HasErrors() {
		return nil, diags
	}
	written := copyTree(t).(tree)
	job, err := toJob(t)
	if err != nil {
		return nil, Diagnostics{{File: cfg.Filename, Message: err.Error()}}
	}
	return &File{Job: job, Warnings: c.list.Warnings(), written: written}, nil
}

// readFile reads the top level of a file: variables, then locals, then the job.
func readFile(c *collector, cfg ParseConfig) tree {
	isJSON := startsWithBrace(cfg.Source)
	body, diags := parseBody(cfg.Filename, cfg.Source, isJSON)
	if diags.HasErrors() {
		c.list = append(c.list, diags...)
		return nil
	}
	top := topBlocks(c, cfg, body)
	dir := filepath.Dir(cfg.Filename)
	calls := functions(dir, cfg.AllowFS)
	bound(calls, &c.work)
	ctx := &hcl.EvalContext{Functions: calls, Variables: map[string]cty.Value{}}
	vars := &variables{collector: c, strict: cfg.Strict, byName: map[string]*variable{}}
	ls := &locals{collector: c, attrs: hcl.Attributes{}}
	var jobs hcl.Blocks
	for _, blk := range top {
		switch blk.Type {
		case "variable":
			vars.declareBlock(blk)
		case "variables":
			vars.declareShort(blk)
		case "locals":
			ls.declare(blk)
		case "job":
			jobs = append(jobs, blk)
		}
	}
	vars.setEnv(cfg.Env)
	for _, f := range cfg.VarFiles {
		vars.setFile(f)
	}
	for _, flag := range cfg.Vars {
		vars.setFlag(flag)
	}
	if len(jobs) == 0 {
		c.list = append(c.list, Diagnostic{File: cfg.Filename, Message: "there is no job block: a job file holds one job \"name\" { ... }"})
		return nil
	}
	if len(jobs) > 1 {
		c.at(jobs[1].DefRange, nil, "there is a second job block; a job file holds exactly one")
		return nil
	}
	ctx.Variables["var"] = vars.finish(ctx.Functions)
	if c.list.HasErrors() {
		return nil // what follows would only repeat the mistakes above
	}
	r := &reader{collector: c, file: cfg.Filename, root: grammar()}
	if !isJSON {
		r.sources = c.files
	}
	ctx.Variables["local"] = ls.resolve(ctx, r.sources)
	if c.list.HasErrors() {
		return nil
	}
	job := jobs[0]
	t := r.body(grammar(), job.Body, ctx, place{}.in("job", job.Labels...))
	for _, key := range []string{"ID", "Name"} {
		if _, ok := t[key]; !ok {
			t[key] = job.Labels[0]
		}
	}
	return t
}

// topBlocks returns a file's top-level blocks.
func topBlocks(c *collector, cfg ParseConfig, body hcl.Body) hcl.Blocks {
	schema := &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
		{Type: "job", LabelNames: []string{"name"}}, {Type: "variable", LabelNames: []string{"name"}},
		{Type: "variables"}, {Type: "locals"}}}
	native, ok := body.(*hclsyntax.Body)
	if !ok {
		content, diags := body.Content(schema)
		c.hcl(diags, nil)
		return content.Blocks
	}
	names := []string{"job", "variable", "variables", "locals"}
	for _, a := range native.Attributes {
		c.near(a.NameRange, nil, a.Name, names, "attribute %q stands outside of any block", a.Name)
	}
	for _, blk := range native.Blocks {
		if !slices.Contains(names, blk.Type) {
			c.near(blk.TypeRange, nil, blk.Type, names, "unknown block %q at the top of the file", blk.Type)
		}
	}
	content, _, diags := body.PartialContent(schema)
	c.hcl(diags, nil)
	return content.Blocks
}
