package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// planResponse is the API's answer to a plan.
type planResponse struct {
	Annotations    *model.PlanAnnotations
	FailedTGAllocs map[string]*model.AllocMetric
	Placements     map[string]map[string]int
	JobModifyIndex uint64
	CreatedEvals   []*model.Evaluation
	Diff           *model.JobDiff
	Warnings       string
}

// exitCode is 1 when instances would be placed, moved or stopped.
func (p *planResponse) exitCode() int {
	if p.Diff != nil && p.Diff.Type == "None" {
		return 0
	}
	if p.Annotations != nil {
		for _, u := range p.Annotations.DesiredTGUpdates {
			if u.Stop+u.Place+u.Migrate+u.DestructiveUpdate+u.Canary > 0 {
				return 1
			}
		}
	}
	return 0
}

func (p *planResponse) text(w io.Writer, file string, verbose bool) {
	if p.Diff != nil {
		printDiff(w, p.Diff, verbose)
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "Scheduler dry-run:")
	if len(p.FailedTGAllocs) == 0 {
		fmt.Fprintln(w, "- All tasks successfully allocated.")
	} else {
		fmt.Fprintln(w, "- WARNING: Failed to place all allocations.")
		for _, g := range sortedKeys(p.FailedTGAllocs) {
			m := p.FailedTGAllocs[g]
			fmt.Fprintf(w, "  Task Group %q (failed to place %d allocation(s)):\n", g, m.CoalescedFailures+1)
			printMetric(w, m, "    ")
		}
	}
	p.placements(w, verbose)
	if p.Annotations != nil && len(p.Annotations.PreemptedAllocs) > 0 {
		section(w, "Preemptions:")
		rows := [][]string{{"Alloc ID", "Job ID", "Task Group"}}
		for _, al := range p.Annotations.PreemptedAllocs {
			rows = append(rows, []string{al.ID, al.JobID, al.TaskGroup})
		}
		printTable(w, rows...)
	}
	if p.Warnings != "" {
		fmt.Fprintf(w, "\nJob Warnings:\n%s\n", p.Warnings)
	}
	fmt.Fprintf(w, "\nJob Modify Index: %d\nTo submit the job only if nobody changed it in between:\n\n  drover job run -check-index %d %s\n",
		p.JobModifyIndex, p.JobModifyIndex, file)
}

// shownNodes is how many nodes of a group are listed without -verbose.
const shownNodes = 8

// placements says which nodes would get new instances, those with the most first.
func (p *planResponse) placements(w io.Writer, verbose bool) {
	for _, g := range sortedKeys(p.Placements) {
		on := p.Placements[g]
		names := sortedKeys(on)
		slices.SortStableFunc(names, func(a, b string) int { return on[b] - on[a] })
		rest := 0
		if !verbose && len(names) > shownNodes {
			rest = len(names) - shownNodes
			names = names[:shownNodes]
		}
		parts := make([]string, len(names))
		for i, n := range names {
			parts[i] = fmt.Sprintf("%s (%d)", n, on[n])
		}
		if rest > 0 {
			parts = append(parts, fmt.Sprintf("%d more (-verbose lists all)", rest))
		}
		fmt.Fprintf(w, "- Task Group %q would be placed on: %s\n", g, strings.Join(parts, ", "))
	}
}

var diffSigns = map[string]string{"Added": "+", "Deleted": "-", "Edited": "+/-", "None": ""}

func printDiff(w io.Writer, d *model.JobDiff, verbose bool) {
	line(w, 0, d.Type, fmt.Sprintf("Job: %q", d.ID))
	printFields(w, 1, d.Fields, d.Objects, verbose)
	for _, g := range d.TaskGroups {
		if g.Type == "None" && !verbose && len(g.Updates) == 0 {
			continue
		}
		updates := ""
		if len(g.Updates) > 0 {
			var parts []string
			for _, k := range sortedKeys(g.Updates) {
				parts = append(parts, fmt.Sprintf("%d %s", g.Updates[k], k))
			}
			updates = " (" + strings.Join(parts, ", ") + ")"
		}
		line(w, 0, g.Type, fmt.Sprintf("Task Group: %q%s", g.Name, updates))
		printFields(w, 1, g.Fields, g.Objects, verbose)
		for _, t := range g.Tasks {
			if t.Type == "None" && !verbose {
				continue
			}
			ann := ""
			if len(t.Annotations) > 0 {
				ann = " (" + strings.Join(t.Annotations, ", ") + ")"
			}
			line(w, 1, t.Type, fmt.Sprintf("Task: %q%s", t.Name, ann))
			printFields(w, 2, t.Fields, t.Objects, verbose)
		}
	}
}

func printFields(w io.Writer, depth int, fields []*model.FieldDiff, objects []*model.ObjectDiff, verbose bool) {
	for _, f := range fields {
		if f.Type == "None" && !verbose {
			continue
		}
		text := fmt.Sprintf("%s: ", f.Name)
		switch f.Type {
		case "Added":
			text += fmt.Sprintf("%q", f.New)
		case "Deleted":
			text += fmt.Sprintf("%q", f.Old)
		case "Edited":
			text += fmt.Sprintf("%q => %q", f.Old, f.New)
		default:
			text += fmt.Sprintf("%q", f.New)
		}
		if len(f.Annotations) > 0 {
			text += " (" + strings.Join(f.Annotations, ", ") + ")"
		}
		line(w, depth, f.Type, text)
	}
	for _, o := range objects {
		if o.Type == "None" && !verbose {
			continue
		}
		line(w, depth, o.Type, o.Name+" {")
		printFields(w, depth+1, o.Fields, o.Objects, verbose)
		line(w, depth, "None", "}")
	}
}

func line(w io.Writer, depth int, kind, text string) {
	fmt.Fprintf(w, "%-4s%s%s\n", diffSigns[kind], strings.Repeat("  ", depth), text)
}
