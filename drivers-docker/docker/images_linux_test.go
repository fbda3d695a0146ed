package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/drivers-docker/pause"
	"github.com/droverhq/drover/sdk/driver"
)

// registryServer is a docker-registry on loopback.
type registryServer struct {
	addr string
	dir  string
}

const (
	user     = "ada"
	password = "se:cret"
)

func newRegistry(t *testing.T, auth bool) *registryServer {
	t.Helper()
	if _, err := exec.LookPath("docker-registry"); err != nil {
		t.Fatal("docker-registry is not installed (.ci/deps installs it)")
	}
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/data}, delete: {enabled: true}}\nhttp: {addr: '%s'}\n", dir, addr)
	if auth {
		out, err := exec.Command("htpasswd", "-Bbn", user, password).Output()
		if err != nil {
			t.Fatalf("htpasswd (.ci/deps installs it): %v", err)
		}
		if err := os.WriteFile(dir+"/htpasswd", out, 0o600); err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("auth: {htpasswd: {realm: test, path: %s/htpasswd}}\n", dir)
	}
	if err := os.WriteFile(dir+"/config.yml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("docker-registry", "serve", dir+"/config.yml")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for end := time.Now().Add(patience); ; {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return &registryServer{addr: addr, dir: dir}
}

// push puts the busybox there under a name and takes it off the engine.
func (g *registryServer) push(t *testing.T, d *daemon, name string) string {
	t.Helper()
	full := g.addr + "/" + name
	if _, err := d.client.ImageTag(t.Context(), client.ImageTagOptions{Source: busybox, Target: full}); err != nil {
		t.Fatal(err)
	}
	auth, _ := authconfig.Encode(registry.AuthConfig{Username: user, Password: password})
	answer, err := d.client.ImagePush(t.Context(), full, client.ImagePushOptions{RegistryAuth: auth})
	if err != nil {
		t.Fatal(err)
	}
	if err := messages(answer); err != nil {
		t.Fatal(err)
	}
	if _, err := d.client.ImageRemove(t.Context(), full, client.ImageRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	return full
}

func of(name string) map[string]any { return map[string]any{"image": name} }

func TestPull(t *testing.T) {
	d := docker(t)
	g := newRegistry(t, false)
	name := g.push(t, d, "app:1")
	r := newRig(t, map[string]any{"gc": []any{map[string]any{"image_delay": "1s"}}}).launch()
	var wg sync.WaitGroup
	for range 3 {
		task := r.task("echo pulled", of(name))
		wg.Go(func() {
			r.start(task)
			if exit := r.wait(task); exit.ExitCode != 0 {
				t.Errorf("exit %+v", exit)
			}
		})
	}
	wg.Wait()
	r.until("the event", func() bool { return r.sawEvent("Downloading image") })
	for _, task := range r.tasks {
		r.destroy(task)
	}
	r.until("the image is removed", func() bool { return !r.hasImage(name) })
	if !r.hasImage(busybox) {
		t.Error("another name of the image was removed too")
	}
}

func TestPullWithCredentials(t *testing.T) {
	d := docker(t)
	g := newRegistry(t, true)
	name := g.push(t, d, "secret:1")
	dir := t.TempDir()
	write := func(file, text string, mode os.FileMode) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.json", fmt.Sprintf(`{"auths":{%q:{"auth":"YWRhOnNlOmNyZXQ="}}}`, g.addr), 0o600)
	helperOf := write("helper.json", fmt.Sprintf(`{"credHelpers":{%q:"test"}}`, g.addr), 0o600)
	write("docker-credential-test", fmt.Sprintf("#!/bin/sh\nread s; [ \"$s\" = %q ] || exit 1\necho '{\"Username\":%q,\"Secret\":%q}'\n", g.addr, user, password), 0o755)
	write("docker-credential-none", "#!/bin/sh\necho credentials not found in native keychain; exit 1\n", 0o755)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	inline := map[string]any{"image": name, "auth": []any{map[string]any{"username": user, "password": password}}}
	wrong := map[string]any{"image": name, "auth": []any{map[string]any{"username": user, "password": "wrong"}}}
	for label, test := range map[string]struct {
		auth  map[string]any
		task  map[string]any
		fails string
	}{
		"inline":             {nil, inline, ""},
		"wrong":              {nil, wrong, "unauthorized|no basic auth"},
		"none":               {nil, of(name), "no basic auth"},
		"file":               {map[string]any{"config": good}, of(name), ""},
		"helper of the file": {map[string]any{"config": helperOf}, of(name), ""},
		"helper":             {map[string]any{"helper": "test"}, of(name), ""},
		"helper has nothing": {map[string]any{"helper": "none"}, of(name), "no basic auth"},
		"no file":            {map[string]any{"config": dir + "/absent"}, of(name), "auth.config"},
		"no file, soft":      {map[string]any{"config": dir + "/absent"}, map[string]any{"image": name, "auth_soft_fail": true}, "no basic auth"},
	} {
		t.Run(label, func(t *testing.T) {
			config := map[string]any{"gc": []any{map[string]any{"image_delay": "0s"}}}
			if test.auth != nil {
				config["auth"] = []any{test.auth}
			}
			r := newRig(t, config).launch()
			task := r.task("true", test.task)
			if test.fails == "" {
				r.start(task)
				r.wait(task)
				r.destroy(task)
				r.until("the image is removed", func() bool { return !r.hasImage(name) })
				return
			}
			err := r.refused(task)
			if !driver.IsRecoverable(err) || strings.Contains(err.Error(), password) || !containsAny(err.Error(), strings.Split(test.fails, "|")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func containsAny(text string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}

func TestMissingImage(t *testing.T) {
	g := newRegistry(t, false)
	r := newRig(t, nil).launch()
	err := r.refused(r.task("true", of(g.addr+"/nothing:1")))
	if driver.IsRecoverable(err) || !strings.Contains(err.Error(), g.addr+"/nothing:1") {
		t.Errorf("got %v", err)
	}
	if err := r.refused(r.task("true", of("BAD NAME"))); driver.IsRecoverable(err) {
		t.Errorf("got %v", err)
	}
}

func TestDeadRegistry(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens here now
	r := newRig(t, nil).launch()
	begin := time.Now()
	if err := r.refused(r.task("true", of(l.Addr().String()+"/app:1"))); !driver.IsRecoverable(err) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
}

// trickle is a registry that sends its large answers a byte at a time.
func trickle(t *testing.T, g *registryServer) (addr string, open *atomic.Int32) {
	open = &atomic.Int32{}
	target, _ := url.Parse("http://" + g.addr)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(resp *http.Response) error {
		if resp.ContentLength > 100_000 {
			open.Add(1)
			resp.Body = &slow{in: resp.Body, open: open, ctx: resp.Request.Context()}
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
	return l.Addr().String(), open
}

type slow struct {
	in   io.ReadCloser
	open *atomic.Int32
	ctx  context.Context
	once sync.Once
}

func (s *slow) Read(p []byte) (int, error) {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
	return s.in.Read(p[:1])
}

func (s *slow) Close() error {
	s.once.Do(func() { s.open.Add(-1) })
	return s.in.Close()
}

func TestTricklingRegistry(t *testing.T) {
	d := docker(t)
	g := newRegistry(t, false)
	// A layer of its own, so that the engine does not know it yet.
	fresh := "fresh:1"
	var layer bytes.Buffer
	if err := freshTar(&layer); err != nil {
		t.Fatal(err)
	}
	answer, err := d.client.ImageImport(t.Context(), client.ImageImportSource{Source: &layer, SourceName: "-"}, g.addr+"/"+fresh, client.ImageImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_ = messages(answer)
	push, err := d.client.ImagePush(t.Context(), g.addr+"/"+fresh, client.ImagePushOptions{RegistryAuth: "e30="})
	if err != nil {
		t.Fatal(err)
	}
	if err := messages(push); err != nil {
		t.Fatal(err)
	}
	if _, err := d.client.ImageRemove(t.Context(), g.addr+"/"+fresh, client.ImageRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	addr, open := trickle(t, g)
	t.Run("stalls", func(t *testing.T) {
		r := newRig(t, map[string]any{"pull_activity_timeout": "2s"}).launch()
		err := r.refused(r.task("true", of(addr+"/"+fresh)))
		if !driver.IsRecoverable(err) || !strings.Contains(err.Error(), "no progress for 2s") {
			t.Errorf("got %v", err)
		}
		r.until("the transfer is given up", func() bool { return open.Load() == 0 })
	})
	t.Run("limit of the task", func(t *testing.T) {
		r := newRig(t, nil).launch()
		err := r.refused(r.task("true", map[string]any{"image": addr + "/" + fresh, "image_pull_timeout": "1s"}))
		if !driver.IsRecoverable(err) || !strings.Contains(err.Error(), "image_pull_timeout") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		r := newRig(t, nil).launch()
		task := r.task("true", of(addr+"/"+fresh))
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := r.driver.StartTask(ctx, task)
			failed <- err
		}()
		r.until("the transfer begins", func() bool { return open.Load() > 0 })
		cancel()
		if err := <-failed; err == nil {
			t.Error("the task was started")
		}
		r.until("the transfer is given up", func() bool { return open.Load() == 0 })
	})
}

func TestLoad(t *testing.T) {
	r := newRig(t, nil).launch()
	archive := r.daemon.save(t, busybox)
	if _, err := r.daemon.client.ImageTag(t.Context(), client.ImageTagOptions{Source: busybox, Target: "kept:1"}); err != nil {
		t.Fatal(err)
	}
	task := r.task("echo loaded", map[string]any{"load": "image.tar", "force_pull": true})
	if err := os.WriteFile(filepath.Join(task.LocalDir(), "image.tar"), archive, 0o600); err != nil {
		t.Fatal(err)
	}
	r.start(task)
	if exit := r.wait(task); exit.ExitCode != 0 || r.out(task) != "loaded\n" {
		t.Errorf("exit %+v, %q", exit, r.out(task))
	}
	escape := r.task("true", map[string]any{"load": "link.tar", "force_pull": true})
	if err := os.Symlink("/etc/passwd", filepath.Join(escape.LocalDir(), "link.tar")); err != nil {
		t.Fatal(err)
	}
	if err := r.refused(escape); !strings.Contains(err.Error(), "escapes") {
		t.Errorf("got %v", err)
	}
	if err := r.refused(r.task("true", map[string]any{"load": "absent.tar", "force_pull": true})); !errors.Is(err, os.ErrNotExist) && !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
	other := r.task("true", map[string]any{"load": "image.tar", "image": "other:1"})
	if err := os.WriteFile(filepath.Join(other.LocalDir(), "image.tar"), archive, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.refused(other); !strings.Contains(err.Error(), "no image named other:1") {
		t.Errorf("got %v", err)
	}
}

func TestForeignArchitecture(t *testing.T) {
	r := newRig(t, nil).launch()
	built, err := pause.Build("s390x")
	if err != nil {
		t.Fatal(err)
	}
	if err := loadImage(t.Context(), r.daemon.client, built.Name, bytes.NewReader(built.Archive)); err != nil {
		t.Fatal(err)
	}
	task := r.plainTask(of(built.Name))
	r.start(task)
	r.until("the event", func() bool { return r.sawEvent("built for s390x") })
}

// A program for another processor ends at once, and its user is told why: nothing emulates it here.
func TestForeignProgram(t *testing.T) {
	r := newRig(t, nil).launch()
	const name = "foreign:1"
	program := append([]byte("\x7fELF\x02\x02\x01"), make([]byte, 120)...)
	copy(program[16:], "\x00\x02\x00\x16\x00\x00\x00\x01") // executable, s390, version 1
	layer := archiveOf(t, map[string][]byte{"prog": program})
	archive := archiveOf(t, map[string][]byte{
		"layer.tar": layer,
		"config.json": fmt.Appendf(nil, `{"architecture":"s390x","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`,
			sha256.Sum256(layer)),
		"manifest.json": fmt.Appendf(nil, `[{"Config":"config.json","RepoTags":[%q],"Layers":["layer.tar"]}]`, name),
	})
	if err := loadImage(t.Context(), r.daemon.client, name, bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	task := r.plainTask(map[string]any{"image": name, "command": "/prog"})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// Engines of different age find out before or after the container counts as started.
	if _, err := r.driver.StartTask(ctx, task); err != nil {
		if !strings.Contains(err.Error(), "is built for s390x and this engine runs on") {
			t.Errorf("start: %v", err)
		}
	} else {
		r.tasks = append(r.tasks, task)
		if exit := r.wait(task); exit.ExitCode == 0 || !strings.Contains(r.out(task)+r.err(task), "exec format error") {
			t.Errorf("exit %+v: %s%s", exit, r.out(task), r.err(task))
		}
	}
	r.until("the event", func() bool { return r.sawEvent("built for s390x") })
}

// archiveOf is a tar archive of programs.
func archiveOf(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
