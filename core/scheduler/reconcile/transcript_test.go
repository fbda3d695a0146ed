package reconcile

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
)

var update = flag.Bool("update", false, "write what the reconcilers do into testdata")

// Each file of testdata is a story: blocks of commands, what came out of them after "----", and a blank line. The
// commands are in stage_test.go.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("%s differs; go test -update and look at the diff. Now:\n%s", file, got)
			}
		})
	}
}

// play runs a story and returns it with what comes out now.
func play(t *testing.T, text string) string {
	var out bytes.Buffer
	s := newStage(t)
	var answer strings.Builder
	expected := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case expected && line != "":
		case expected:
			expected = false
			out.WriteString("\n")
		case line == "----":
			expected = true
			out.WriteString("----\n" + answer.String())
			answer.Reset()
		default:
			out.WriteString(line + "\n")
			if line != "" && !strings.HasPrefix(line, "#") {
				answer.WriteString(s.do(line))
			}
		}
	}
	return out.String()
}

// args are the words of a command: flags and key=value pairs.
type args map[string]string

func parseArgs(words []string) args {
	out := args{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		out[k] = v
	}
	return out
}

func (a args) int(key string, otherwise int) int {
	if v, ok := a[key]; ok {
		n, err := strconv.Atoi(v)
		if err != nil {
			panic(fmt.Sprintf("%s=%s: %v", key, v, err))
		}
		return n
	}
	return otherwise
}

func (a args) duration(key string, otherwise time.Duration) time.Duration {
	if v, ok := a[key]; ok {
		d, err := time.ParseDuration(v)
		if err != nil {
			panic(fmt.Sprintf("%s=%s: %v", key, v, err))
		}
		return d
	}
	return otherwise
}

func (a args) has(key string) bool { _, ok := a[key]; return ok }

func ptr(b bool) *bool { return &b }

// printResult writes a result as a script.
func printResult(s *stage, res *Result) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	short := func(name string) string { return strings.TrimPrefix(name, s.job.Name+".") }
	for _, u := range res.DeploymentUpdates {
		line("deployment %s %s: %s", u.DeploymentID, u.Status, u.StatusDescription)
	}
	if d := res.Deployment; d != nil {
		line("deployment %s begins for v%d: %s", d.ID, d.JobVersion, d.StatusDescription)
		for _, g := range s.job.TaskGroups {
			if st := d.TaskGroups[g.Name]; st != nil {
				line("  %s wants %d, canaries %d", g.Name, st.DesiredTotal, st.DesiredCanaries)
			}
		}
	}
	for _, st := range res.Stop {
		extra := ""
		if st.ClientStatus != "" {
			extra += " as " + st.ClientStatus
		}
		if st.FollowupEvalID != "" {
			extra += " until " + st.FollowupEvalID
		}
		line("stop %s %s%s: %s", st.Alloc.ID, short(st.Alloc.Name), extra, st.Description)
	}
	for _, a := range res.Adapt {
		line("adapt %s %s", a.ID, short(a.Name))
	}
	for _, a := range res.Update {
		line("update %s %s: %s, look again with %s", a.ID, short(a.Name), a.ClientStatus, a.FollowupEvalID)
	}
	for _, p := range res.Place {
		verb, extra := "place", ""
		if p.Replaces != nil {
			verb = "replace " + p.Replaces.Alloc.ID + " by"
			extra += ": " + p.Replaces.Description
		} else if p.Previous != nil {
			extra += " after " + p.Previous.ID
		}
		if p.NodeID != "" {
			extra = " on " + p.NodeID + extra
		}
		if p.Canary {
			extra = " as canary" + extra
		}
		line("%s %s v%d%s", verb, short(p.Name), p.Job.Version, extra)
	}
	for _, e := range res.FollowUps {
		line("evaluate again in %s: %s %s", e.WaitUntil.Sub(s.now), e.ID, e.TriggeredBy)
	}
	for _, g := range s.groupsSeen() {
		if d := res.Desired[g]; d != nil && *d != (model.DesiredUpdates{}) {
			line("%s: %s", g, printDesired(d))
		}
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

func printDesired(d *model.DesiredUpdates) string {
	var parts []string
	for _, f := range []struct {
		name string
		n    uint64
	}{
		{"place", d.Place}, {"stop", d.Stop}, {"migrate", d.Migrate}, {"in-place", d.InPlaceUpdate},
		{"destructive", d.DestructiveUpdate}, {"canary", d.Canary}, {"disconnect", d.Disconnect},
		{"reconnect", d.Reconnect}, {"reschedule now", d.RescheduleNow}, {"reschedule later", d.RescheduleLater},
		{"ignore", d.Ignore},
	} {
		if f.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", f.n, f.name))
		}
	}
	return strings.Join(parts, ", ")
}
