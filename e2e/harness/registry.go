package harness

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Registry is an image registry on loopback.
type Registry struct{ Addr string }

// StartRegistry runs one until the test ends. With a password it lets in only user.
func StartRegistry(t testing.TB, user, password string) *Registry {
	t.Helper()
	dir := t.TempDir()
	addr := FreeAddr(t)
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: '%s'}\n", dir, addr)
	if password != "" {
		out, err := exec.Command("htpasswd", "-Bbn", user, password).Output()
		if err != nil {
			t.Fatalf("htpasswd: %v (.ci/deps installs it)", err)
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
		t.Fatalf("docker-registry: %v (.ci/deps installs it)", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	Eventually(t, 30*time.Second, "the registry answers", func() error {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	return &Registry{Addr: addr}
}
