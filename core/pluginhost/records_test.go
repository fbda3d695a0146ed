package pluginhost

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/droverhq/drover/core/pluginhost/process"
)

func TestFileRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "client", "plugins.json")
	store := FileRecords(path)
	if got, err := store.Load(); err != nil || len(got) != 0 {
		t.Fatalf("none yet: %v, %v", got, err)
	}
	want := map[string]Record{"x#1": {File: "x", Generation: 1, SHA256: "aa", Name: "x", Type: "driver", Network: "unix",
		Addr: "/run/x", Process: process.Identity{PID: 7, StartTime: 1 << 60, BootID: "b"}, Leaving: "replaced"}}
	if err := store.Save(want); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Load(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte(`{"Records": {"x#1": {`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Load(); err == nil || len(got) != 0 {
		t.Errorf("corrupt file: %v, %v", got, err)
	}
	if got, err := store.Load(); err != nil || len(got) != 0 {
		t.Errorf("after it was set aside: %v, %v", got, err)
	}
	if _, err := os.Stat(path + ".corrupt"); err != nil {
		t.Error(err)
	}
}

func TestPluginEnviron(t *testing.T) {
	agent := []string{"PATH=/bin", "HOME=/root", "LC_ALL=C", "HTTP_PROXY=p", "vault_token=x", "AWS_REGION=r", "DB_PASSWORD=x",
		"PLUGIN_UNIX_SOCKET_DIR=/x", "NOTIFY_SOCKET=/x", "DOCKER_HOST=h", "=C:=x", "TOKENS_OK=y",
		"DROVER_TOKEN=x", "nomad_token=x", "DROVER_CLIENT_KEY=x", "NOMAD_HTTP_AUTH=x"}
	tests := map[string]struct {
		allow, want []string
	}{
		"usual":  {nil, []string{"PATH=/bin", "HOME=/root", "LC_ALL=C", "HTTP_PROXY=p", "DOCKER_HOST=h", "TOKENS_OK=y"}},
		"strict": {[]string{}, []string{"PATH=/bin", "HOME=/root", "LC_ALL=C"}},
		"listed": {[]string{"AWS_*"}, []string{"PATH=/bin", "HOME=/root", "LC_ALL=C", "AWS_REGION=r"}},
		"the agent's own secrets": {[]string{"*", "DROVER_TOKEN"}, []string{"PATH=/bin", "HOME=/root", "LC_ALL=C", "HTTP_PROXY=p", "vault_token=x",
			"AWS_REGION=r", "DB_PASSWORD=x", "DOCKER_HOST=h", "TOKENS_OK=y"}},
		"never this": {[]string{"PLUGIN_*"}, []string{"PATH=/bin", "HOME=/root", "LC_ALL=C"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := pluginEnviron(agent, tt.allow); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
