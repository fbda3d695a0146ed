package onemachine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// archive is a gzipped tar of files with their content; a name that ends in / is a directory.
func archive(t *testing.T, files ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o4755, Size: int64(len(f[1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Artifacts are there before the task starts: unpacked, checked, in the place that was asked for,
// and they are fetched once in a task's life.
func TestArtifacts(t *testing.T) {
	app := archive(t, [2]string{"bin/app", "#!/bin/sh\necho app $1 > local/out\n"}, [2]string{"etc/conf", "conf"})
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked.Add(1)
		switch {
		case q.URL.Path == "/app.tar.gz":
			w.Write(app)
		case q.URL.Path == "/secret.txt" && q.Header.Get("X-Key") == "k-t":
			fmt.Fprint(w, "secret")
		default:
			http.Error(w, "no", http.StatusForbidden)
		}
	}))
	defer srv.Close()
	a := harness.Start(t, harness.Options{})
	a.RunJob(service("fetch", `local/deep/bin/app "$(cat secrets/key)"; [ -e local/again ] && exec sleep 60; touch local/again; exit 1`, fmt.Sprintf(`
      restart {
        attempts = 1
        delay    = "0s"
        mode     = "fail"
      }
      artifact {
        source      = "%s/app.tar.gz"
        destination = "local/deep"
        options { checksum = "sha256:%x" }
      }
      artifact {
        source      = "%s/secret.txt"
        mode        = "file"
        destination = "$${NOMAD_SECRETS_DIR}/key"
        headers { X-Key = "k-$${NOMAD_TASK_NAME}" }
        chown       = true
      }`, srv.URL, sha256.Sum256(app), srv.URL)), "-detach")
	var alloc harness.Alloc
	harness.Eventually(t, 30*time.Second, "the second run", func() error {
		for _, alloc = range a.Allocs("fetch") {
			if s := alloc.TaskStates["t"]; s.State == "running" && s.Restarts == 1 {
				return nil
			}
		}
		return fmt.Errorf("not yet: %s", events(alloc, "t"))
	})
	dir := filepath.Join(a.AllocDir(alloc.ID), "t")
	contains(t, a, filepath.Join(dir, "local", "out"), "app secret", 10*time.Second)
	if n := asked.Load(); n != 2 {
		t.Errorf("the server was asked %d times", n)
	}
	if st, err := os.Stat(filepath.Join(dir, "local", "deep", "bin", "app")); err != nil || st.Mode() != 0o755 {
		t.Errorf("%v, %v", st, err)
	}
	if got := events(alloc, "t"); !strings.Contains(got, "Downloading Artifacts") {
		t.Error(got)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", ".fetch-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// What cannot or may not be fetched fails the task with the reason, and nothing is left of it. What may pass is tried again.
func TestBadArtifacts(t *testing.T) {
	var flaky atomic.Int32
	many := make([][2]string, 5000)
	for i := range many {
		many[i] = [2]string{fmt.Sprint("f", i), ""}
	}
	files := map[string][]byte{
		"/many.tgz": archive(t, many...), "/climb.tgz": archive(t, [2]string{"../../climbed", "x"}), "/broken.tgz": []byte("no archive"), "/ok": []byte("ok"),
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/flaky" && flaky.Add(1) == 1 {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		if b := files[q.URL.Path]; b != nil || q.URL.Path == "/flaky" {
			w.Write(b)
			return
		}
		http.NotFound(w, q)
	}))
	defer srv.Close()
	a := harness.Start(t, harness.Options{})
	for id, c := range map[string]struct{ block, want string }{
		"missing":     {`source = "` + srv.URL + `/nothing?token=hidden"`, srv.URL + "/nothing: bad response code: 404"},
		"file":        {`source = "file:///etc/shadow"`, "files of the machine are not fetched"},
		"path":        {`source = "/etc/shadow"`, "files of the machine are not fetched"},
		"kind":        {`source = "s3::https://bucket/x"`, `kind "s3" are not supported`},
		"sum":         {"source = \"" + srv.URL + "/ok\"\n options { checksum = \"md5:00000000000000000000000000000000\" }", "hecksum"},
		"many":        {`source = "` + srv.URL + `/many.tgz"`, "too many files"},
		"climb":       {`source = "` + srv.URL + `/climb.tgz"`, ".."},
		"broken":      {`source = "` + srv.URL + `/broken.tgz"`, "gzip"},
		"destination": {"source = \"" + srv.URL + "/ok\"\n destination = \"$${NOMAD_TASK_DIR}/../../../x\"", "leads out of the task's directory"},
	} {
		t.Run(id, func(t *testing.T) {
			a.RunJob(service(id, "sleep 60", "artifact {\n"+c.block+"\n}"), "-detach")
			alloc := a.WaitAllocs(id, 1, "failed", 60*time.Second)[0]
			got := events(alloc, "t")
			if !strings.Contains(got, "Failed Artifact Download: ") || !strings.Contains(got, c.want) || strings.Contains(got, "hidden") {
				t.Errorf("want %q in\n%s", c.want, got)
			}
			if left, _ := filepath.Glob(filepath.Join(a.AllocDir(alloc.ID), "t", "local", ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	t.Run("flaky", func(t *testing.T) {
		a.RunJob(service("flaky", "sleep 60", "restart {\n attempts = 1\n delay = \"0s\"\n mode = \"fail\"\n}\nartifact {\n source = \""+srv.URL+"/flaky\"\n}"), "-detach")
		a.WaitAllocs("flaky", 1, "running", 30*time.Second)
	})
}
