package iis_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/drivers-iis/appcmd"
	"github.com/droverhq/drover/drivers-iis/iis"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/plugintest"
)

// world is an IIS with a driver.
type world struct {
	t      *testing.T
	tool   string
	server appcmd.Server
	client *host.Client
	*host.Driver
}

const alloc = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"

func newWorld(t *testing.T, config map[string]any) *world {
	w := &world{t: t, tool: build(t, "appcmd.exe", "../testdata/appcmd")}
	w.server = appcmd.Server{Runner: appcmd.Tool(w.tool)}
	w.serve(config)
	t.Cleanup(func() { // end the workers
		pools, _ := w.server.Pools(context.Background())
		for _, p := range pools {
			_ = w.server.DeletePool(context.Background(), p.Name)
		}
	})
	return w
}

// serve starts a driver, as after a restart of the plugin.
func (w *world) serve(config map[string]any) {
	w.t.Helper()
	p := iis.Plugin(iis.New(iis.Name, "0.1.0", iis.Owner{Cluster: "c", Node: "n"}, hclog.NewNullLogger()))
	c := plugintest.Serve(w.t, p)
	spec, err := c.ConfigSchema(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[string]any{"appcmd_path": w.tool, "placeholder_app_path": ""}
	for k, v := range config {
		all[k] = v
	}
	raw := &plugin.RawConfig{Node: &plugin.NodeConfig{Topology: plugintest.OneCore()}}
	if raw.Msgpack, err = spec.Encode(all, nil); err != nil {
		w.t.Fatal(err)
	}
	if err := c.SetConfig(w.t.Context(), raw); err != nil {
		w.t.Fatal(err)
	}
	w.client, w.Driver = c, c.Driver()
}

// task makes a task's directories with a page, and a port labelled http.
func (w *world) task(name string, config map[string]any, env map[string]string) (*driver.TaskConfig, string) {
	w.t.Helper()
	task := &driver.TaskConfig{ID: alloc + "/" + name, Name: name, AllocID: alloc, AllocDir: w.t.TempDir(), Env: env}
	for _, dir := range []string{task.LocalDir(), task.SecretsDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(task.LocalDir(), "page.txt"), []byte("hello"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	task.Resources.Ports = []driver.Port{{Label: "http", Value: port}}
	spec, err := w.TaskConfigSchema(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if task.DriverConfig, err = spec.Encode(config, nil); err != nil {
		w.t.Fatal(err)
	}
	return task, fmt.Sprintf("http://127.0.0.1:%d", port)
}

func (w *world) start(task *driver.TaskConfig) *driver.TaskHandle {
	w.t.Helper()
	result, err := w.StartTask(w.t.Context(), task)
	if err != nil {
		w.t.Fatal(err)
	}
	return &result.Handle
}

// expect asks until the answer comes: the worker begins to listen a moment after the site has started.
func (w *world) expect(url, want string) {
	w.t.Helper()
	var got string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get(url)
		if err != nil {
			got = err.Error()
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got = string(body); got == want {
			return
		}
	}
	w.t.Fatalf("%s: got %q, want %q", url, got, want)
}

// left is what IIS has.
func (w *world) left() string {
	w.t.Helper()
	sites, err := w.server.Sites(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	pools, err := w.server.Pools(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, s := range sites {
		names = append(names, s.Name)
	}
	for _, p := range pools {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

func simple() map[string]any {
	return map[string]any{"path": "local", "bindings": []any{map[string]any{"type": "http", "port": "http"}}}
}

func TestSiteLives(t *testing.T) {
	w := newWorld(t, nil)
	task, url := w.task("web", simple(), map[string]string{"COLOR": `"red" & <blue>`, "NOMAD_APPPOOL_PASSWORD": "secret"})
	handle := w.start(task)
	w.expect(url+"/page.txt", "hello")
	w.expect(url+"/.env/COLOR", `"red" & <blue>`)
	w.expect(url+"/.env/NOMAD_APPPOOL_PASSWORD", "")
	if !strings.Contains(w.left(), alloc) {
		t.Errorf("the names in IIS do not carry the allocation: %s", w.left())
	}
	if err := w.SignalTask(t.Context(), task.ID, "RECYCLE"); err != nil {
		t.Error(err)
	}
	w.expect(url+"/page.txt", "hello")
	if err := w.SignalTask(t.Context(), task.ID, "STOP"); err != nil {
		t.Error(err)
	}
	if err := w.SignalTask(t.Context(), task.ID, "SIGUSR1"); err == nil || !strings.Contains(err.Error(), "RECYCLE") {
		t.Errorf("an unknown signal: %v", err)
	}
	w.serve(nil) // a pause outlives the plugin
	if err := w.RecoverTask(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if exit, err := w.WaitTask(ctx, task.ID); err == nil {
		t.Errorf("a paused task ended: %+v", exit)
	}
	if err := w.SignalTask(t.Context(), task.ID, "START"); err != nil {
		t.Error(err)
	}
	w.expect(url+"/page.txt", "hello")
	if err := w.StopTask(t.Context(), task.ID, 10*time.Second, ""); err != nil {
		t.Fatal(err)
	}
	w.serve(nil) // neither does the end need a witness
	if err := w.RecoverTask(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	if exit, err := w.WaitTask(t.Context(), task.ID); err != nil || !exit.Successful() {
		t.Errorf("got %+v, %v", exit, err)
	}
	if err := w.DestroyTask(t.Context(), task.ID, false); err != nil {
		t.Error(err)
	}
	if left := w.left(); left != "" {
		t.Errorf("left in IIS: %s", left)
	}
}

// TestPoolFails: IIS stops a pool whose workers fail too often.
func TestPoolFails(t *testing.T) {
	w := newWorld(t, nil)
	task, _ := w.task("web", simple(), nil)
	w.start(task)
	pools, err := w.server.Pools(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.server.StopPool(t.Context(), pools[0].Name); err != nil {
		t.Fatal(err)
	}
	exit, err := w.WaitTask(t.Context(), task.ID)
	if err != nil || exit.ExitCode != 1 || !strings.Contains(exit.Err, "failed too often") {
		t.Errorf("got %+v, %v", exit, err)
	}
}

// TestApplicationsOfAnotherSite: several pools, applications and directories in a site that an operator made.
func TestApplicationsOfAnotherSite(t *testing.T) {
	w := newWorld(t, map[string]any{"allowed_target_websites": []any{"Default*"}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	site, _ := appcmd.Parse(fmt.Appendf(nil, `<site name="Default Web Site"><application path="/" applicationPool="DefaultAppPool"><virtualDirectory path="/" physicalPath="%s" /></application><bindings><binding protocol="http" bindingInformation="*:%d:" /></bindings></site>`, t.TempDir(), port))
	if err := w.server.AddSite(t.Context(), site); err != nil {
		t.Fatal(err)
	}
	task, _ := w.task("api", map[string]any{
		"target_website":              "Default Web Site",
		"application_pool":            []any{map[string]any{"name": "one", "idle_timeout": "90m"}, map[string]any{"name": "two", "start_mode": "AlwaysRunning"}},
		"service_auto_start_provider": []any{map[string]any{"name": "warm", "type": "App.Warm,App"}},
		"application": []any{
			map[string]any{"path": "local", "alias": "/api", "application_pool": "one", "enable_preload": true, "service_auto_start_provider": "warm",
				"virtual_directory": []any{map[string]any{"alias": "shared", "path": "secrets"}}},
			map[string]any{"path": "local/v2", "alias": "v2", "application_pool": "two"},
		},
	}, nil)
	w.start(task)
	w.expect(fmt.Sprintf("http://127.0.0.1:%d/api/page.txt", port), "hello")
	pools, err := w.server.Pools(t.Context())
	if err != nil || len(pools) != 2 || pools[0].Config.Child("processModel").Get("idleTimeout") != "01:30:00" {
		t.Errorf("got %+v, %v", pools, err)
	}
	if err := w.StopTask(t.Context(), task.ID, 10*time.Second, ""); err != nil {
		t.Fatal(err)
	}
	if exit, err := w.WaitTask(t.Context(), task.ID); err != nil || !exit.Successful() {
		t.Errorf("got %+v, %v", exit, err)
	}
	if err := w.DestroyTask(t.Context(), task.ID, false); err != nil {
		t.Error(err)
	}
	if left := w.left(); left != "Default Web Site" {
		t.Errorf("left in IIS: %s", left)
	}
}

// TestRefused: what is wrong is said, and nothing is left.
func TestRefused(t *testing.T) {
	w := newWorld(t, map[string]any{"allowed_apppool_identities": []any{"ApplicationPoolIdentity", "SpecificUser"}, "allowed_apppool_users": []any{"web-*"}})
	with := func(key string, value any) map[string]any {
		c := simple()
		c[key] = value
		return c
	}
	outside := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/etc", outside); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		config map[string]any
		want   string
	}{
		"nothing to serve":        {map[string]any{"binding": simple()["bindings"]}, "one application block, or path"},
		"no binding":              {map[string]any{"path": "local"}, "a site needs a binding"},
		"unknown port":            {with("bindings", []any{map[string]any{"type": "http", "port": "web"}}), `no port labelled "web"`},
		"port of nobody":          {with("bindings", []any{map[string]any{"type": "http", "port": "8080"}}), "is not one that the scheduler keeps free"},
		"no certificate":          {with("bindings", []any{map[string]any{"type": "https", "port": "http"}}), "https needs a certificate"},
		"outside":                 {with("path", "../../../etc"), "outside the allocation's directory"},
		"absolute":                {with("path", "/etc"), "outside the allocation's directory"},
		"through a link":          {with("path", outside), "outside the allocation's directory"},
		"identity not allowed":    {with("application_pool", []any{map[string]any{"identity": "LocalSystem"}}), "LocalSystem is not allowed here"},
		"unknown identity":        {with("application_pool", []any{map[string]any{"identity": "Root"}}), "is none of ApplicationPoolIdentity"},
		"user not allowed":        {with("application_pool", []any{map[string]any{"identity": "SpecificUser", "username": "admin"}}), "user admin is not allowed"},
		"no user":                 {with("apppool_identity", "SpecificUser"), "needs a username"},
		"target not open":         {map[string]any{"path": "local", "target_website": "Default Web Site", "application": nil}, "cannot be replaced"},
		"long pool name":          {with("application_pool", []any{map[string]any{"name": "muchtoolong"}}), "1 to 8 letters"},
		"bad extension":           {with("application_pool", []any{map[string]any{"extension": []any{map[string]any{"name": "a b", "value": "1"}}}}), "is not an attribute"},
		"configuration not there": {with("site_config_path", "local/none.xml"), "none.xml"},
		"configuration no XML":    {with("apppool_config_path", "local/page.txt"), "page.txt"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			task, _ := w.task("web", test.config, nil)
			_, err := w.StartTask(t.Context(), task)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %q", err, test.want)
			}
			if left := w.left(); left != "" {
				t.Errorf("left in IIS: %s", left)
			}
		})
	}
}

// TestAccountFromEnvironment: no password is in the job, and none is left in the worker's environment.
func TestAccountFromEnvironment(t *testing.T) {
	w := newWorld(t, map[string]any{"allowed_apppool_identities": []any{"SpecificUser"}, "allowed_apppool_users": []any{"web-*"}})
	task, url := w.task("web", simple(), map[string]string{"NOMAD_APPPOOL_USERNAME": "web-1", "NOMAD_APPPOOL_PASSWORD": "secret"})
	w.start(task)
	pools, err := w.server.Pools(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	model := pools[0].Config.Child("processModel")
	if model.Get("identityType") != "SpecificUser" || model.Get("userName") != "web-1" || model.Get("password") != "secret" {
		t.Errorf("got %+v", model.Attrs)
	}
	w.expect(url+"/.env/NOMAD_APPPOOL_PASSWORD", "")
}

// TestImport: what appcmd exported can be given to a task; names, paths and bindings are the task's own.
func TestImport(t *testing.T) {
	w := newWorld(t, nil)
	config := simple()
	config["site_config_path"], config["apppool_config_path"] = "local/site.xml", "local/pool.xml"
	task, url := w.task("web", config, nil)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(task.LocalDir(), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("site.xml", `<appcmd><SITE SITE.NAME="Old" SITE.ID="7"><site name="Old" id="7"><limits maxUrlSegments="9" /><application path="/"><virtualDirectory path="/" physicalPath="C:\old" /></application><bindings><binding protocol="http" bindingInformation="*:80:" /></bindings></site></SITE></appcmd>`)
	write("pool.xml", `<add name="Old" queueLength="77"><processModel identityType="LocalSystem" /></add>`)
	w.start(task)
	w.expect(url+"/page.txt", "hello")
	sites, err := w.server.Sites(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s := sites[0].Config; s.Child("limits").Get("maxUrlSegments") != "9" || s.Get("id") != "" || len(s.All("application")) != 1 || len(s.All("bindings")) != 1 {
		text, _ := s.Encode()
		t.Errorf("got %s", text)
	}
	pools, err := w.server.Pools(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p := pools[0].Config; p.Get("queueLength") != "77" || p.Child("processModel").Get("identityType") != "ApplicationPoolIdentity" {
		t.Errorf("got %+v", p)
	}
}

// TestLeftovers: what no task knows goes at the second look, what is not ours stays.
func TestLeftovers(t *testing.T) {
	w := newWorld(t, nil)
	task, _ := w.task("web", simple(), nil)
	w.start(task)
	if err := w.server.AddPool(t.Context(), appcmd.New("add", "name", "drover-other-pool")); err != nil {
		t.Fatal(err)
	}
	w.serve(nil) // a new plugin process that is told of no task
	for range 2 {
		err := w.Fingerprint(t.Context(), func(f driver.Fingerprint) error {
			if f.Health != driver.Healthy {
				t.Errorf("got %+v", f)
			}
			return io.EOF
		})
		if err != io.EOF {
			t.Fatal(err)
		}
	}
	if left := w.left(); left != "drover-other-pool" {
		t.Errorf("left in IIS: %s", left)
	}
}

func TestUndetected(t *testing.T) {
	w := newWorld(t, map[string]any{"appcmd_path": filepath.Join(t.TempDir(), "none.exe")})
	err := w.Fingerprint(t.Context(), func(f driver.Fingerprint) error {
		if f.Health != driver.Undetected || f.Description == "" {
			t.Errorf("got %+v", f)
		}
		return io.EOF
	})
	if err != io.EOF {
		t.Fatal(err)
	}
}
