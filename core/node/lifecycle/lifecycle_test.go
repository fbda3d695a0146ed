package lifecycle

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/core/model"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// Each transcript is a script: lines without indentation are what happens, indented ones what the machine does then.
//
//	tasks web init=prestart side=prestart+sidecar lead+leader   the group
//	start                                                       first step
//	web running | web dead | web failed                         a task's state changes
//	stop | remove                                               somebody wants the allocation to end; remove: without poststop
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if !bytes.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func play(t *testing.T, script string) []byte {
	var out bytes.Buffer
	var tasks []Task
	var s State
	status := map[string]Status{}
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		out.WriteString(line)
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
			continue
		case words[0] == "tasks":
			tasks = nil
			for _, w := range words[1:] {
				tasks = append(tasks, parseTask(w))
			}
			s, status = State{}, map[string]Status{}
			continue
		case words[0] == "start":
		case words[0] == "stop", words[0] == "remove":
			s.Kill = &Kill{Reason: Stopped, Poststop: words[0] == "remove"}
		case len(words) == 2:
			st := Status{State: words[1]}
			if words[1] == "failed" {
				st = Status{model.TaskDead, true}
			}
			status[words[0]] = st
		default:
			t.Fatalf("line %q", line)
		}
		before := s.Phase
		var actions []Action
		s, actions = Next(tasks, s, status)
		if again, more := Next(tasks, s, status); len(more) > 0 || again.Phase != s.Phase {
			t.Errorf("after %q: a second look at the same states does %v", strings.TrimSpace(line), more)
		}
		if s.Phase != before {
			fmt.Fprintf(&out, "  phase %s\n", s.Phase)
		}
		for _, a := range actions {
			switch a.Verb {
			case VerbStart:
				fmt.Fprintf(&out, "  start %s\n", a.Task)
			case VerbKill:
				fmt.Fprintf(&out, "  kill %s: %s\n", a.Task, strings.TrimSpace(string(a.Why.Reason)+" "+a.Why.Task))
			}
		}
		cs, _ := ClientStatus(tasks, s, status)
		fmt.Fprintf(&out, "  status %s\n", cs)
	}
	return out.Bytes()
}

func parseTask(w string) Task {
	parts := strings.Split(w, "+")
	name, hook, _ := strings.Cut(parts[0], "=")
	t := Task{Name: name, Hook: hook}
	for _, p := range parts[1:] {
		t.Sidecar = t.Sidecar || p == "sidecar"
		t.Leader = t.Leader || p == "leader"
	}
	return t
}
