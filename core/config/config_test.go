package config

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	c, err := Parse(Default(), "agent.hcl", []byte(`
region     = "eu"
data_dir   = "/var/lib/drover"
ports { http = 5646 }
server {
  enabled         = true
  eval_gc_threshold = "10m"
}
client {
  enabled = true
  meta { rack = "r1" }
  meta = { zone = 3 }
  reserved { memory = 256 }
  host_network "public" { cidr = "10.0.0.0/8" }
}
plugin "x" {
  args = ["-v"]
  config {
    enabled = true
    limits { files = 3 }
  }
}
plugin "y" {}
vault { enabled = true }
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Region != "eu" || c.Ports.HTTP != 5646 || c.Ports.RPC != 4647 || c.Server.EvalGCThreshold != 10*time.Minute {
		t.Errorf("plain keys or defaults wrong: %+v", c)
	}
	if c.Client.Reserved.MemoryMB != 256 || len(c.Client.HostNetworks) != 1 || c.Client.HostNetworks[0].Name != "public" {
		t.Errorf("client: %+v", c.Client)
	}
	if len(c.Plugins) != 2 || c.Plugins[0].Name != "x" || c.Plugins[0].Config["enabled"] != true || c.Plugins[1].Name != "y" {
		t.Errorf("plugins: %+v", c.Plugins)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "vault") {
		t.Errorf("want one warning about vault, got %q", c.Warnings)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// The shape of a plugin's configuration is the plugin's own: its blocks may come several times.
func TestRepeatedBlocksOfAPluginAreAList(t *testing.T) {
	c, err := Parse(Default(), "agent.hcl", []byte(`
plugin "x" {
  config {
    pool { name = "a" }
    pool { name = "b" }
    pool { name = "c" }
    once { name = "d" }
    inner {
      rule { n = 1 }
      rule { n = 2 }
    }
  }
}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"pool":  []any{map[string]any{"name": "a"}, map[string]any{"name": "b"}, map[string]any{"name": "c"}},
		"once":  map[string]any{"name": "d"},
		"inner": map[string]any{"rule": []any{map[string]any{"n": 1.0}, map[string]any{"n": 2.0}}},
	}
	if got := c.Plugins[0].Config; !reflect.DeepEqual(got, want) {
		t.Errorf("config %v, want %v", got, want)
	}
}

func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct{ src, want string }{
		"unknown key":        {"regoin = \"eu\"\n", `a.hcl:1: unknown key "regoin"; did you mean "region"?`},
		"unknown nested key": {"server {\n  enabeld = true\n}\n", `a.hcl:2: unknown key "server.enabeld"; did you mean "enabled"?`},
		"wrong type":         {"ports {\n http = \"many\"\n}\n", `ports.http`},
		"bad duration":       {"client { gc_interval = \"soon\" }\n", `want a duration such as "30s", got "soon"`},
		"syntax":             {"server {\n", "a.hcl:"},
		"fraction":           {"ports { http = 1.5 }\n", "want a whole number"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(Default(), "a.hcl", []byte(tc.src))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestMergeFilesInOrder(t *testing.T) {
	dir := t.TempDir()
	write := func(name, s string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1.hcl", "name = \"a\"\nserver {\n enabled = true\n num_schedulers = 3\n}\nplugin \"p\" { args = [\"1\"] }\n")
	write("2.json", `{"name": "b", "server": {"num_schedulers": 5}, "plugin": [{"p": {"config": {"k": "v"}}}]}`)
	write("ignored.txt", "not a configuration")
	c, err := Load(Default(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "b" || !c.Server.Enabled || c.Server.NumSchedulers != 5 {
		t.Errorf("later file should win key by key: %+v", c.Server)
	}
}

func TestValidateListsEverything(t *testing.T) {
	c := Default()
	c.DataDir, c.LogLevel, c.Ports.RPC = "rel", "LOUD", 4646
	err := c.Validate()
	if err == nil {
		t.Fatal("want errors")
	}
	for _, want := range []string{"nothing to do", "absolute path", "LOUD", "both 4646"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q not mentioned in:\n%v", want, err)
		}
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{"1M": 1 << 20, "512": 512, "2KB": 2048, "1g": 1 << 30} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	if _, err := parseSize("-1"); err == nil {
		t.Error("negative size accepted")
	}
}

func TestPluginTrust(t *testing.T) {
	const head = "data_dir = \"/x\"\nserver { enabled = true }\nclient { enabled = true }\n"
	pin, key := strings.Repeat("a", 64), base64.StdEncoding.EncodeToString(make([]byte, 32))
	c, err := Parse(Default(), "a.hcl", []byte(head+`
plugin_trust {
  require = "signature"
  trusted_keys = { release = "`+key+`" }
}
plugin "x" {
  require   = "pin"
  sha256    = "`+pin+`"
  env_allow = []
}
plugin "y" {
  sha256    = ["`+pin+`", "`+strings.ToUpper(pin)+`"]
  env_allow = ["APP_*"]
}
plugin "z" {}
`))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	x, y, z := c.Plugins[0], c.Plugins[1], c.Plugins[2]
	if x.Require != "pin" || len(x.SHA256) != 1 || x.SHA256[0] != pin || x.EnvAllow == nil || len(x.EnvAllow) != 0 {
		t.Errorf("x: %+v", x)
	}
	if len(y.SHA256) != 2 || len(y.EnvAllow) != 1 || z.EnvAllow != nil {
		t.Errorf("y: %+v, z: %+v", y, z)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"level":             {`plugin_trust { require = "loud" }`, `plugin_trust: require = "loud" is none of none, pin, signature`},
		"level of a plugin": {`plugin "x" { require = "loud" }`, `plugin "x": require = "loud"`},
		"no keys":           {`plugin_trust { require = "signature" }`, "needs plugin_trust.trusted_keys"},
		"bad key":           {`plugin_trust { trusted_keys = { a = "what" } }`, `trusted key "a"`},
		"missing key file":  {`plugin_trust { trusted_keys = { a = "/nonexistent" } }`, "no such file"},
		"short pin":         {`plugin "x" { sha256 = "abc" }`, "want 64 hexadecimal digits"},
		"pattern":           {`plugin "x" { env_allow = ["[", "A=b"] }`, `env_allow: "["`},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Parse(Default(), "a.hcl", []byte(head+tt.text))
			if err == nil {
				err = c.Validate()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
