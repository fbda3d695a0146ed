package chaos

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/droverhq/drover/e2e/harness"
)

// footprint is what an agent's process takes of its machine.
type footprint struct {
	files, goroutines, zombies int
	memory                     int // KiB resident, files that are mapped not counted: the log of a server is one and grows
	kept                       int // files of plugins on disk
}

func (f footprint) String() string {
	return fmt.Sprintf("%d descriptors, %d goroutines, %d MiB, %d zombies, %d files of plugins", f.files, f.goroutines, f.memory>>10,
		f.zombies, f.kept)
}

func footprintOf(t *testing.T, a *harness.Agent) (f footprint) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d", a.PID())
	files, err := os.ReadDir(dir + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	f.files = len(files)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		fmt.Sscanf(line, "RssAnon: %d kB", &f.memory)
	}
	f.goroutines = goroutines(t, a)
	for _, name := range []string{"plugin-logs", "plugin-store"} {
		_ = filepath.WalkDir(filepath.Join(a.DataDir, name), func(string, fs.DirEntry, error) error { f.kept++; return nil })
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[0] == "Z" && fields[1] == strconv.Itoa(a.PID()) {
			f.zombies++
		}
	}
	return f
}

func goroutines(t *testing.T, a *harness.Agent) (n int) {
	t.Helper()
	text, err := a.Text("/v1/agent/pprof/goroutine?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(text, "goroutine profile: total %d", &n); err != nil {
		t.Fatalf("goroutine profile begins with %.60q", text)
	}
	return n
}

// flat compares footprints before and after many repetitions. Memory may grow by what a garbage collector leaves.
func flat(t *testing.T, before, after footprint) {
	t.Helper()
	const slack, memory = 12, 32 << 10
	if after.files > before.files+slack || after.goroutines > before.goroutines+2*slack ||
		after.memory > before.memory+memory || after.zombies > 0 || after.kept > before.kept+slack {
		t.Errorf("the agent grew: %s before, %s after", before, after)
	}
}
