package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/sdk/conformance"
)

func pluginVerify(a *app) *cobra.Command {
	var block pluginBlock
	var taskFile, longFile, stubbornFile string
	var exitCode int
	var timeout time.Duration
	c := &cobra.Command{Use: "verify <binary>", Short: "Check a plugin binary against the contract", Args: cobra.ExactArgs(1),
		Long: "Runs the conformance suite: launches the binary as an agent does, runs tasks, kills it, and reports check by check.\n" +
			"Drivers whose tasks have a command and args need no task file. Exit code 1: a check failed."}
	f := addFormat(c)
	block.add(c)
	c.Flags().StringVar(&taskFile, "task", "", "job file whose first task ends by itself within a second or so")
	c.Flags().StringVar(&longFile, "long-task", "", "job file whose first task runs until it is stopped")
	c.Flags().StringVar(&stubbornFile, "stubborn-task", "", "job file whose first task ignores signals")
	c.Flags().IntVar(&exitCode, "exit-code", 0, "how the task of -task ends")
	c.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long one check may take")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		config := conformance.Config{Path: args[0], Timeout: timeout}
		var err error
		if config.Args, config.PluginConfig, err = block.read(cmd.Context(), args[0]); err != nil {
			return err
		}
		for _, t := range []struct {
			file string
			slot **conformance.Task
			code int
		}{{taskFile, &config.Task, exitCode}, {longFile, &config.LongTask, 0}, {stubbornFile, &config.StubbornTask, 0}} {
			if t.file == "" {
				continue
			}
			lone, err := a.loneTask(t.file, "")
			if err != nil {
				return err
			}
			*t.slot = &conformance.Task{Config: lone.task.Config, Env: lone.task.Env, User: lone.task.User, ExitCode: t.code}
		}
		if !f.json && f.template == "" {
			config.Progress = func(r conformance.Result) { printResult(a.Stdout, r) }
		}
		report, err := conformance.Verify(cmd.Context(), config)
		if err != nil {
			return err
		}
		if err := f.print(a.Stdout, report, func(w io.Writer) { printReport(w, report) }); err != nil {
			return err
		}
		if !report.OK() {
			return &exitError{code: 1}
		}
		return nil
	}
	return c
}

// printResult prints one line per check, and for what was found the reason too.
func printResult(w io.Writer, r conformance.Result) {
	fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-4s  %-32s  %5.2fs  %s", r.Status, r.Name, r.Took.Seconds(), oneLine(r.Detail)), " "))
	if r.Status == conformance.Fail || r.Status == conformance.Warn {
		fmt.Fprintf(w, "      why it matters: %s\n", r.Reason)
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func printReport(w io.Writer, r *conformance.Report) {
	section(w, "Plugin")
	pairs := [][2]string{{"Name", r.Name}, {"Type", r.Type}, {"Version", r.Version}, {"Contract", strings.Join(r.APIVersions, ", ")}}
	for _, c := range r.Capabilities {
		pairs = append(pairs, [2]string{strings.ToUpper(c.Name[:1]) + c.Name[1:], c.Value})
	}
	printKeys(w, pairs...)
	fmt.Fprintf(w, "\n%d passed, %d failed, %d warnings, %d skipped\n",
		r.Count(conformance.Pass), r.Count(conformance.Fail), r.Count(conformance.Warn), r.Count(conformance.Skip))
}
