package lifecycle

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The transcripts of hand-overs read as those of generations: "+<seconds> <event> [words]", then what came of it.
func TestHandOverTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/handover/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replayHandOver(t, string(want))
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

func replayHandOver(t *testing.T, script string) string {
	var out strings.Builder
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var h HandOver
	lines := bufio.NewScanner(strings.NewReader(script))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "    ") {
			continue
		}
		fmt.Fprintln(&out, line)
		if !strings.HasPrefix(line, "+") {
			continue
		}
		fields := strings.SplitN(strings.TrimPrefix(line, "+"), " ", 3)
		seconds, err := strconv.ParseFloat(fields[0], 64)
		if err != nil || len(fields) < 2 {
			t.Fatalf("line %q: want \"+<seconds> <event>\"", line)
		}
		e := HandOverEvent{Kind: HandOverKind(fields[1])}
		if len(fields) > 2 {
			e.Reason = fields[2]
		}
		if e.Kind == Freed {
			if e.Tasks, err = strconv.Atoi(e.Reason); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			e.Reason = ""
		}
		var actions []HandOverAction
		h, actions = h.Step(e, start.Add(time.Duration(seconds*float64(time.Second))), HandOverLimits{})
		fmt.Fprintf(&out, "    %s", h.Phase)
		if h.Reason != "" {
			fmt.Fprintf(&out, " (%s)", h.Reason)
		}
		if d := h.Deadline(); !d.IsZero() && !h.Over() {
			fmt.Fprintf(&out, "; late at +%g", d.Sub(start).Seconds())
		}
		fmt.Fprintln(&out)
		for _, a := range actions {
			fmt.Fprintf(&out, "    > %s\n", a)
		}
	}
	return out.String()
}
