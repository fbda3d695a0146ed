package harness

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"
)

// What is printed of an agent's log when a test fails. Those who read it may see only the end of a long output, so the
// most telling part comes last.
const (
	mostLines    = 40_000 // bytes of the log
	mostTroubles = 6_000  // bytes of its warnings and errors
	mostStacks   = 6_000  // bytes of what its goroutines did
)

// quitHeader begins the stacks that a Go program prints when it gets SIGQUIT.
const quitHeader = "SIGQUIT: quit"

// quit ends an agent that does not do what it should in such a way that it prints what its goroutines were at.
func (a *Agent) quit() {
	a.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-a.ended:
	case <-time.After(10 * time.Second):
		a.Kill9()
	}
}

// diagnosis is what a failed test prints of an agent's log.
func diagnosis(log string) string {
	log, stacks, quit := strings.Cut(log, quitHeader)
	var lines, troubles strings.Builder
	for line := range strings.Lines(log) {
		if strings.Contains(line, "agent.http: request") && strings.Contains(line, "method=GET") {
			continue // polled many times a second
		}
		lines.WriteString(line)
		if strings.Contains(line, "[WARN]") || strings.Contains(line, "[ERROR]") {
			troubles.WriteString(line)
		}
	}
	out := "agent log:\n" + end(lines.String(), mostLines)
	if troubles.Len() > 0 {
		out += "\nits warnings and errors:\n" + end(troubles.String(), mostTroubles)
	}
	if quit {
		out += "\nwhat its goroutines were at (how many, state, from the inside out):\n" + end(condense(stacks), mostStacks)
	}
	return out
}

// end is the end of a text, in whole lines.
func end(text string, most int) string {
	if len(text) <= most {
		return text
	}
	text = text[len(text)-most:]
	_, rest, _ := strings.Cut(text, "\n")
	return "[...]\n" + rest
}

// ours begins the names of Drover's functions in stacks.
const ours = "github.com/droverhq/drover/"

// condense turns goroutines' stacks into one line for each that differs and has something of Drover in it: where it
// stands, and the functions of Drover that led there. Those that most goroutines share come first.
func condense(stacks string) string {
	counts := map[string]int{}
	for _, one := range strings.Split(stacks, "\n\n") {
		lines := strings.Split(strings.TrimSpace(one), "\n")
		head, state, ok := strings.Cut(lines[0], " [")
		if !ok || !strings.HasPrefix(head, "goroutine ") {
			continue
		}
		var calls []string
		mine := false
		for i := 1; i+1 < len(lines); i += 2 {
			name, _, _ := strings.Cut(lines[i], " in goroutine ")
			if cut := strings.LastIndex(name, "("); cut > 0 && !strings.HasPrefix(name, "created by ") {
				name = name[:cut] // the arguments
			}
			short, of := strings.CutPrefix(name, ours)
			if of {
				mine = true
			}
			if of || len(calls) == 0 {
				place := strings.TrimSpace(lines[i+1])
				place, _, _ = strings.Cut(place, " +0x")
				calls = append(calls, short+place[max(0, strings.LastIndexByte(place, ':')):])
			}
		}
		if mine {
			counts["["+state+" "+strings.Join(calls, " < ")]++
		}
	}
	var out strings.Builder
	for _, text := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	}) {
		fmt.Fprintf(&out, "%4d %s\n", counts[text], text)
	}
	return out.String()
}
