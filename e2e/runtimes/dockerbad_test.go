package runtimes

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// once is a job of one task that is tried once.
func once(id, driver, config, more string) string {
	return fmt.Sprintf(`
job %q {
  type = "batch"
  group "g" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    task "t" {
      driver = %q
      config {
        %s
      }
      resources {
        cpu    = 20
        memory = 64
      }
      %s
    }
  }
}`, id, driver, config, more)
}

// trickle is a registry in front of another that sends its large answers a byte at a time.
func trickle(t *testing.T, addr string) string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	proxy.ModifyResponse = func(resp *http.Response) error {
		if resp.ContentLength > 100_000 {
			resp.Body = &slow{resp.Body}
		}
		return nil
	}
	proxy.FlushInterval = -1
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: proxy}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr().String()
}

type slow struct{ io.ReadCloser }

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(100 * time.Millisecond)
	return s.ReadCloser.Read(p[:1])
}

// push puts an image into a registry under a name and takes it off the engine.
func push(t *testing.T, d *harness.Dockerd, image, addr, name string) {
	t.Helper()
	full := addr + "/" + name
	d.Must(t, "tag", image, full)
	d.Must(t, "push", full)
	d.Must(t, "rmi", full)
}

// What is wrong with a container's image, credentials or mounts is said on the task, and nothing is left.
func TestDockerMistakes(t *testing.T) {
	d := docker(t)
	open := harness.StartRegistry(t, "", "")
	locked := harness.StartRegistry(t, "ada", "secret")
	random := t.TempDir() + "/random"
	in, err := os.Open("/dev/urandom")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, 2<<20))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(random, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.Import("fresh:1", map[string]string{"random": random}); err != nil {
		t.Fatal(err)
	}
	push(t, d, "fresh:1", open.Addr, "fresh:1")
	d.Must(t, "rmi", "fresh:1")
	a := agentWith(t, d, "")
	list := func() []string {
		ids := strings.Fields(d.Must(t, "images", "-q"))
		slices.Sort(ids)
		return ids
	}
	images := list()

	for name, tc := range map[string]struct{ config, more, want string }{
		"missing image":    {fmt.Sprintf("image = \"%s/nothing:1\"", open.Addr), "", "nothing:1"},
		"dead registry":    {fmt.Sprintf("image = \"%s/app:1\"", harness.FreeAddr(t)), "", "refused"},
		"no credentials":   {fmt.Sprintf("image = \"%s/app:1\"", locked.Addr), "", "basic auth"},
		"wrong password":   {fmt.Sprintf("image = \"%s/app:1\"\nauth {\n username = \"ada\"\n password = \"hunter2\"\n}", locked.Addr), "", "unauthorized"},
		"slow registry":    {fmt.Sprintf("image = \"%s/fresh:1\"\nimage_pull_timeout = \"2s\"", trickle(t, open.Addr)), "", "image_pull_timeout"},
		"missing command":  {"image = \"busybox:1\"\ncommand = \"/bin/nothing\"", "", "/bin/nothing"},
		"host path":        {"image = \"busybox:1\"\ncommand = \"/bin/sh\"\nvolumes = [\"/etc:/host\"]", "", "volumes"},
		"path that climbs": {"image = \"busybox:1\"\ncommand = \"/bin/sh\"\nvolumes = [\"../../../../etc:/host\"]", "", "etc"},
		"invalid mount":    {"image = \"busybox:1\"\ncommand = \"/bin/sh\"\nmount {\n type = \"bind\"\n source = \"local/nothing\"\n target = \"relative\"\n}", "", "relative"},
		"unknown user":     {"image = \"busybox:1\"\ncommand = \"/bin/sh\"", `user = "nosuch"`, "nosuch"},
		"privileged":       {"image = \"busybox:1\"\ncommand = \"/bin/sh\"\nprivileged = true", "", "allow_privileged"},
		"capability":       {"image = \"busybox:1\"\ncommand = \"/bin/sh\"\ncap_add = [\"sys_admin\"]", "", "SYS_ADMIN"},
		"unknown runtime":  {"image = \"busybox:1\"\ncommand = \"/bin/sh\"\nruntime = \"nosuch\"", "", "allow_runtimes"},
	} {
		t.Run(name, func(t *testing.T) {
			job := strings.ReplaceAll(name, " ", "-")
			a.RunJob(once(job, "docker", tc.config, tc.more), "-detach")
			al := a.WaitAllocs(job, 1, "failed", 60*time.Second)[0]
			text := events(al, "t")
			if !strings.Contains(strings.ToLower(text), strings.ToLower(tc.want)) {
				t.Errorf("the task's events do not mention %q:\n%s", tc.want, text)
			}
			if strings.Contains(text, "hunter2") || strings.Contains(a.Log(), "hunter2") {
				t.Error("a password is shown")
			}
			stopAll(t, a, d, job)
		})
	}
	if now := list(); !slices.Equal(now, images) {
		t.Errorf("images changed: %v, were %v", now, images)
	}
}
