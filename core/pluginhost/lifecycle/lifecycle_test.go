package lifecycle

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the transcripts")

// A transcript alternates what happens, "+<seconds since the start> <event> [words]", with what the machine made of it:
//
//	+1.5 health healthy
//	    ready; shown healthy
//	    > report healthy
//
// Lines that begin with # are the story.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("transcript differs; got:\n%s", got)
			}
		})
	}
}

func replay(t *testing.T, script string) string {
	var out strings.Builder
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	g := New()
	lines := bufio.NewScanner(strings.NewReader(script))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "    ") {
			continue // an expectation
		}
		fmt.Fprintln(&out, line)
		if !strings.HasPrefix(line, "+") {
			continue
		}
		at, event := parseEvent(t, line)
		now := start.Add(at)
		var actions []Action
		g, actions = Step(g, event, now, Limits{})
		fmt.Fprintf(&out, "    %s\n", describe(g, start))
		for _, a := range actions {
			fmt.Fprintf(&out, "    > %s\n", strings.TrimSpace(string(a.Kind)+" "+a.Text))
		}
	}
	return out.String()
}

func parseEvent(t *testing.T, line string) (time.Duration, Event) {
	fields := strings.Fields(strings.TrimPrefix(line, "+"))
	seconds, err := strconv.ParseFloat(fields[0], 64)
	if err != nil || len(fields) < 2 {
		t.Fatalf("line %q: want \"+<seconds> <event>\"", line)
	}
	e := Event{Kind: Kind(fields[1])}
	rest := fields[2:]
	first := func(word string) bool {
		if len(rest) > 0 && rest[0] == word {
			rest = rest[1:]
			return true
		}
		return false
	}
	switch e.Kind {
	case Health:
		switch {
		case first("healthy"):
			e.Healthy, e.Detected = true, true
		case first("unhealthy"):
			e.Detected = true
		case first("undetected"):
		default:
			t.Fatalf("line %q: want healthy, unhealthy or undetected", line)
		}
	case StartFailed:
		e.Final = first("final")
	case Died:
		e.Stuck = first("stuck")
	case TaskCount:
		if e.Tasks, err = strconv.Atoi(rest[0]); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		rest = nil
	}
	e.Reason = strings.Join(rest, " ")
	return time.Duration(seconds * float64(time.Second)), e
}

func describe(g Generation, start time.Time) string {
	parts := []string{string(g.State)}
	if g.Reason != "" {
		parts[0] += " (" + g.Reason + ")"
	}
	switch s := g.Shown; {
	case !s.Known:
		parts = append(parts, "shown nothing")
	case s.Healthy:
		parts = append(parts, "shown healthy")
	case s.Detected:
		parts = append(parts, "shown unhealthy ("+s.Description+")")
	default:
		parts = append(parts, "shown undetected ("+s.Description+")")
	}
	if g.Restarts > 0 {
		parts = append(parts, fmt.Sprintf("%d restarts", g.Restarts))
	}
	if g.Tasks > 0 {
		parts = append(parts, fmt.Sprintf("%d tasks", g.Tasks))
	}
	if d := g.Deadline(); !d.IsZero() {
		parts = append(parts, fmt.Sprintf("tick at +%g", d.Sub(start).Seconds()))
	}
	return strings.Join(parts, "; ")
}
