package cli

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/jobspec"
	"github.com/droverhq/drover/core/model"
)

func jobCommands(a *app) []*cobra.Command {
	return []*cobra.Command{parent("job", "Run, inspect and stop jobs",
		jobRun(a), jobPlan(a), jobValidate(a), jobInit(a), jobStatus(a), jobStop(a), jobStart(a), jobInspect(a), jobHistory(a),
		jobRevert(a), jobPromote(a), jobDeployments(a), jobAllocs(a), jobEval(a), jobDispatch(a), jobScale(a), jobScalingEvents(a), jobRestart(a), jobAction(a),
		parent("periodic", "Work with periodic jobs", jobPeriodicForce(a)),
		parent("tag", "Name versions of jobs", jobTagApply(a), jobTagUnset(a)),
	)}
}

// jobFile are the flags that say how a job file is read.
type jobFile struct {
	json     bool
	strict   bool
	vars     []string
	varFiles []string
}

func (f *jobFile) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.json, "json", false, "the file is an API job in JSON")
	c.Flags().BoolVar(&f.strict, "hcl2-strict", true, "refuse values for variables that the job does not declare")
	c.Flags().StringArrayVar(&f.vars, "var", nil, "name=value of a variable (repeatable)")
	c.Flags().StringArrayVar(&f.varFiles, "var-file", nil, "file with values of variables (repeatable)")
}

// maxJobFile bounds what is read of a job file, in bytes; the parser refuses well below it, with its own limit in the
// text.
const maxJobFile = 16 << 20

// read parses the job. body is the job in the API's form, with unset values left unset so that the server's defaults
// count.
func (f *jobFile) read(a *app, path string) (body json.RawMessage, job *model.Job, sub *model.JobSubmission, err error) {
	src, name, err := a.source(path)
	if err != nil {
		return nil, nil, nil, err
	}
	if f.json {
		if len(f.vars) > 0 || len(f.varFiles) > 0 {
			return nil, nil, nil, errors.New("-var and -var-file work with HCL jobs only: a JSON job has no variables")
		}
		job, _, err := jobspec.FromJSON(src)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		var envelope struct{ Job json.RawMessage }
		if json.Unmarshal(src, &envelope) == nil && len(envelope.Job) > 0 {
			src = envelope.Job
		}
		return src, job, &model.JobSubmission{Source: string(src), Format: "json"}, nil
	}
	cfg := jobspec.ParseConfig{Filename: name, Source: src, Strict: f.strict, AllowFS: true, Vars: f.vars, Env: a.jobVariables()}
	for _, vf := range f.varFiles {
		b, _, err := a.source(vf)
		if err != nil {
			return nil, nil, nil, err
		}
		cfg.VarFiles = append(cfg.VarFiles, jobspec.VarFile{Filename: vf, Source: b})
	}
	file, err := jobspec.Parse(cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, w := range file.Warnings {
		fmt.Fprintln(a.Stderr, "Warning:", w)
	}
	if body, err = file.JSON(); err != nil {
		return nil, nil, nil, err
	}
	sub = &model.JobSubmission{Source: string(src), Format: "hcl2", VariableFlags: map[string]string{}}
	for _, v := range f.vars {
		k, val, _ := strings.Cut(v, "=")
		sub.VariableFlags[k] = val
	}
	for _, vf := range cfg.VarFiles {
		sub.Variables += string(vf.Source) + "\n"
	}
	return body, file.Job, sub, nil
}

// source reads a file or, for "-", standard input.
func (a *app) source(path string) ([]byte, string, error) {
	var r io.Reader = a.Stdin
	name := "stdin"
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, "", err
		}
		defer f.Close()
		r, name = f, path
	}
	b, err := io.ReadAll(io.LimitReader(r, maxJobFile+1))
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", name, err)
	}
	if len(b) > maxJobFile {
		return nil, "", fmt.Errorf("%s is larger than the limit of %d bytes", name, maxJobFile)
	}
	return b, name, nil
}

// jobVariables are the environment's values of variables, by their full names.
func (a *app) jobVariables() map[string]string {
	out := map[string]string{}
	for _, e := range a.Environ {
		k, v, ok := strings.Cut(e, "=")
		if ok && (strings.HasPrefix(k, "NOMAD_VAR_") || strings.HasPrefix(k, "DROVER_VAR_")) {
			out[k] = v
		}
	}
	return out
}

func jobRun(a *app) *cobra.Command {
	var file jobFile
	var detach, verbose, output, preserveCounts, preserveResources bool
	var checkIndex string
	var priority int
	c := &cobra.Command{Use: "run <file>", Short: "Submit a job", Args: cobra.ExactArgs(1),
		Long: "Submits a job file and watches until its instances run. \"-\" reads the file from standard input."}
	file.add(c)
	c.Flags().BoolVar(&detach, "detach", false, "return after submission instead of watching")
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.Flags().BoolVar(&output, "output", false, "print the job as JSON and submit nothing")
	c.Flags().StringVar(&checkIndex, "check-index", "", "submit only if the job's modify index is this one; 0: only if there is no such job")
	c.Flags().BoolVar(&preserveCounts, "preserve-counts", false, "keep the counts of the running version")
	c.Flags().BoolVar(&preserveResources, "preserve-resources", false, "keep the resources of the running version")
	c.Flags().IntVar(&priority, "eval-priority", 0, "priority of the evaluation")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		body, job, sub, err := file.read(a, args[0])
		if err != nil {
			return err
		}
		if output {
			return printJSON(a.Stdout, map[string]any{"Job": body})
		}
		req := map[string]any{"Job": body, "Submission": sub, "PreserveCounts": preserveCounts, "PreserveResources": preserveResources, "EvalPriority": priority}
		if checkIndex != "" {
			var index uint64
			if _, err := fmt.Sscan(checkIndex, &index); err != nil {
				return fmt.Errorf("-check-index must be a number, got %q", checkIndex)
			}
			req["EnforceIndex"], req["JobModifyIndex"] = true, index
		}
		cl, err := a.api()
		if err != nil {
			return err
		}
		cl.forJob(job)
		var resp registered
		if err := cl.put(cmd.Context(), "/v1/jobs", nil, req, &resp); err != nil {
			var ae *apiError
			if errors.As(err, &ae) && strings.Contains(ae.Body, "Enforcing job modify index") {
				return &exitError{1, ae.Body + "\nJob not updated"}
			}
			return fmt.Errorf("submit job %q: %w", job.ID, err)
		}
		return a.submitted(cmd.Context(), cl, job, resp, detach, verbose)
	}
	return c
}

// registered is the API's answer to a registration.
type registered struct {
	EvalID         string
	Warnings       string
	JobModifyIndex uint64
}

func (a *app) submitted(ctx context.Context, cl *client, job *model.Job, resp registered, detach, verbose bool) error {
	if resp.Warnings != "" {
		fmt.Fprintf(a.Stderr, "Job Warnings:\n%s\n\n", resp.Warnings)
	}
	if resp.EvalID == "" {
		kind := "parameterized"
		if job.IsPeriodic() {
			kind = "periodic"
		}
		fmt.Fprintf(a.Stdout, "Job registration successful\nThe job is %s: it starts nothing by itself now\n", kind)
		return nil
	}
	if detach {
		fmt.Fprintf(a.Stdout, "Job registration successful\nEvaluation ID: %s\n", resp.EvalID)
		return nil
	}
	return a.monitor(ctx, cl, resp.EvalID, verbose)
}

func jobValidate(a *app) *cobra.Command {
	var file jobFile
	c := &cobra.Command{Use: "validate <file>", Short: "Check a job file", Args: cobra.ExactArgs(1)}
	file.add(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		body, job, _, err := file.read(a, args[0])
		if err != nil {
			return err
		}
		cl, err := a.api()
		if err != nil {
			return err
		}
		var resp struct {
			DriverConfigValidated bool
			ValidationErrors      []string
			Error                 string
			Warnings              string
		}
		cl.forJob(job)
		if err := cl.put(cmd.Context(), "/v1/validate/job", nil, map[string]any{"Job": body}, &resp); err != nil {
			var ae *apiError
			if errors.As(err, &ae) {
				return err
			}
			fmt.Fprintln(a.Stderr, "The agent cannot be reached; checking without it:", err)
			warnings, verr := job.Validate(model.DefaultLimits())
			for _, w := range warnings {
				fmt.Fprintln(a.Stderr, "Warning:", w)
			}
			if verr != nil {
				return verr
			}
			fmt.Fprintln(a.Stdout, "Job validation successful (without the drivers' checks)")
			return nil
		}
		if resp.Warnings != "" {
			fmt.Fprintf(a.Stderr, "Job Warnings:\n%s\n\n", resp.Warnings)
		}
		if len(resp.ValidationErrors) > 0 || resp.Error != "" {
			text := resp.Error
			if len(resp.ValidationErrors) > 0 {
				text = "* " + strings.Join(resp.ValidationErrors, "\n* ")
			}
			return &exitError{1, "Job validation errors:\n" + text}
		}
		fmt.Fprintln(a.Stdout, "Job validation successful")
		return nil
	}
	return c
}

func jobPlan(a *app) *cobra.Command {
	var file jobFile
	var diff, verbose, jsonOut bool
	f := &format{}
	c := &cobra.Command{Use: "plan <file>", Short: "Show what submitting a job would change", Args: cobra.ExactArgs(1),
		Long: "Exit code 0: nothing would be placed, moved or stopped; 1: something would; 255: error."}
	file.add(c)
	c.Flags().BoolVar(&diff, "diff", true, "show the difference to the running version")
	c.Flags().BoolVar(&verbose, "verbose", false, "show unchanged fields too")
	c.Flags().BoolVar(&jsonOut, "json-output", false, "print the API's JSON")
	c.Flags().StringVar(&f.template, "t", "", "print by a Go template over the API's object")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		fail := func(err error) error { return &exitError{255, "Error: " + err.Error()} }
		body, job, _, err := file.read(a, args[0])
		if err != nil {
			return fail(err)
		}
		cl, err := a.api()
		if err != nil {
			return fail(err)
		}
		var resp planResponse
		cl.forJob(job)
		if err := cl.put(cmd.Context(), "/v1/job/"+seg(job.ID)+"/plan", nil,
			map[string]any{"Job": body, "Diff": diff}, &resp); err != nil {
			return fail(err)
		}
		f.json = jsonOut
		if err := f.print(a.Stdout, resp, func(w io.Writer) { resp.text(w, args[0], verbose) }); err != nil {
			return fail(err)
		}
		if code := resp.exitCode(); code != 0 {
			return &exitError{code: code}
		}
		return nil
	}
	return c
}

// exampleJob is what job init writes.
//
//go:embed example.nomad.hcl
var exampleJob string

func jobInit(a *app) *cobra.Command {
	var shortForm bool
	c := &cobra.Command{Use: "init [file]", Short: "Write an example job file", Args: cobra.MaximumNArgs(1)}
	c.Flags().BoolVar(&shortForm, "short", false, "without comments")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name := "example.nomad.hcl"
		if len(args) > 0 {
			name = args[0]
		}
		text := exampleJob
		if shortForm {
			var lines []string
			for _, l := range strings.Split(text, "\n") {
				if !strings.HasPrefix(l, "#") {
					lines = append(lines, l)
				}
			}
			text = strings.Join(lines, "\n")
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("write the example: %w", err)
		}
		if _, err := f.WriteString(text); err != nil {
			f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "Example job file written to %s\n", name)
		return nil
	}
	return c
}
