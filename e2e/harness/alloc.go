package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Alloc is what the tests look at of an allocation.
type Alloc struct {
	ID, Name, NodeID, JobID, TaskGroup             string
	ClientStatus, DesiredStatus, ClientDescription string
	TaskStates                                     map[string]TaskState
	CreateIndex                                    uint64
	NextAllocation                                 string
}

// TaskState is what the tests look at of a task.
type TaskState struct {
	State      string
	Failed     bool
	Restarts   int
	StartedAt  time.Time
	FinishedAt time.Time
	Events     []TaskEvent
}

// TaskEvent is one line of a task's history.
type TaskEvent struct {
	Type, DisplayMessage string
	Time                 int64
	ExitCode             int
	Details              map[string]string
}

// Allocs of a job, oldest first.
func (a *Agent) Allocs(job string) []Alloc {
	a.t.Helper()
	var out []Alloc
	if err := a.Get("/v1/job/"+job+"/allocations", &out); err != nil {
		a.t.Fatalf("allocations of %s: %v", job, err)
	}
	return out
}

// WaitAllocs waits until the job has n allocations with the given client status and returns them.
func (a *Agent) WaitAllocs(job string, n int, status string, limit time.Duration) []Alloc {
	a.t.Helper()
	var found []Alloc
	a.Eventually(limit, fmt.Sprintf("%d %s allocations of %s", n, status, job), func() error {
		var all []Alloc
		if err := a.Get("/v1/job/"+job+"/allocations", &all); err != nil {
			return err
		}
		found = nil
		counts := map[string]int{}
		for _, al := range all {
			counts[al.ClientStatus]++
			if al.ClientStatus == status {
				found = append(found, al)
			}
		}
		if len(found) != n {
			return fmt.Errorf("have %v", counts)
		}
		return nil
	})
	return found
}

// AllocDir is an allocation's directory.
func (a *Agent) AllocDir(id string) string { return filepath.Join(a.DataDir, "alloc", id) }

// LogLines reads a task's log files in order, as lines.
func (a *Agent) LogLines(allocID, task, stream string) []string {
	a.t.Helper()
	dir := filepath.Join(a.AllocDir(allocID), "alloc", "logs")
	entries, err := os.ReadDir(dir)
	if err != nil {
		a.t.Fatal(err)
	}
	type file struct {
		n    int
		path string
	}
	var files []file
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), task+"."+stream+".")
		if n, err := strconv.Atoi(rest); ok && err == nil {
			files = append(files, file{n, filepath.Join(dir, e.Name())})
		}
	}
	sort.Slice(files, func(i, j int) bool { return files[i].n < files[j].n })
	var all []byte
	for _, f := range files {
		b, err := os.ReadFile(f.path)
		if err != nil {
			a.t.Fatal(err)
		}
		all = append(all, b...)
	}
	if len(all) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(all), "\n"), "\n")
}

// Sequence checks that lines are 1, 2, 3 ... without a gap or a repetition and returns how many there are.
func Sequence(lines []string) (int, error) {
	for i, l := range lines {
		if l != strconv.Itoa(i+1) {
			return i, fmt.Errorf("line %d is %q", i+1, l)
		}
	}
	return len(lines), nil
}

// Pretty is v as JSON for messages.
func Pretty(v any) string {
	b, _ := json.MarshalIndent(v, "", "  ")
	return string(b)
}
