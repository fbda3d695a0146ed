package cluster

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// Two regions: each has its own state and leader, every server passes on what is for the other one, and a region that is
// unknown or out of reach is named.
func TestRegions(t *testing.T) {
	size := 1
	if os.Getenv("DROVER_TIER") == "soak" {
		size = 3
	}
	east := (&group{t: t, region: "east"}).start(size)
	west := (&group{t: t, region: "west", join: []string{fmt.Sprintf("127.0.0.1:%d", east.ports[0].Serf)}}).start(size)
	node := west.node(0)
	asked := east.servers[size-1]
	for _, s := range append(append([]*harness.Agent{}, east.servers...), west.servers...) {
		s.Eventually(time.Minute, "both regions are known", func() error {
			var regions []string
			if err := s.Get("/v1/regions", &regions); err != nil || len(regions) != 2 {
				return fmt.Errorf("%v, %w", regions, err)
			}
			return nil
		})
	}
	if out := asked.MustCLI("server", "members"); strings.Count(out, "alive") != 2*size || strings.Count(out, " true ") != 2 {
		t.Errorf("members:\n%s", out)
	}

	// The job says where it belongs, or the caller does.
	asked.RunJob(strings.Replace(job, `job "web" {`, "job \"web\" {\n region = \"west\"", 1), "-detach")
	allocs := node.WaitAllocs("web", 2, "running", time.Minute)
	if out := asked.MustCLI("alloc", "logs", "-region", "west", allocs[0].ID, "t"); !strings.HasPrefix(out, "from ") {
		t.Errorf("logs: %q", out)
	}
	if out := asked.MustCLI("alloc", "exec", "-region", "west", "-task", "t", allocs[0].ID, "echo", "hello"); strings.TrimSpace(out) != "hello" {
		t.Errorf("exec: %q", out)
	}
	for i, s := range west.servers { // writes reach the leader whichever server of the region is asked
		name := fmt.Sprintf("made-from-the-east-%d", i)
		if err := asked.Call("PUT", "/v1/namespace/"+name+"?region=west", map[string]string{"Name": name}, nil); err != nil {
			t.Error(err)
		}
		if err := s.Get("/v1/namespace/"+name, nil); err != nil {
			t.Error(err)
		}
	}
	if err := asked.Get("/v1/job/web", nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("the job in the other region: %v", err)
	}
	if err := node.Get("/v1/status/leader?region=east", nil); err != nil { // by way of a server of its own region
		t.Error(err)
	}
	asked.RunJob(job, "-detach", "-region", "west")

	for _, a := range []*harness.Agent{asked, node} {
		if err := a.Get("/v1/jobs?region=mars", nil); err == nil || !strings.Contains(err.Error(), `500: No path to region "mars"`) || !strings.Contains(err.Error(), "east") {
			t.Errorf("an unknown region: %v", err)
		}
	}
	asked.MustCLI("job", "stop", "-region", "west", "-purge", "web")
	for _, s := range west.servers {
		s.Kill9()
	}
	asked.Eventually(time.Minute, "the region is known to be out of reach", func() error {
		err := asked.Get("/v1/jobs?region=west", nil)
		if err == nil || !strings.Contains(err.Error(), "none of its") {
			return fmt.Errorf("%v", err)
		}
		return nil
	})
	if err := write(asked, "still-written"); err != nil {
		t.Error(err)
	}
}
