//go:build linux

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/core/config"
)

// The way of an operator: make a key, sign, check, and give the agents the line that was printed.
func TestSignAPlugin(t *testing.T) {
	dir := t.TempDir()
	name, binary := filepath.Join(dir, "release"), filepath.Join(dir, "drover-driver-x")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ok := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if code, stderr := local(t, t.Context(), &out, args...); code != 0 {
			t.Fatalf("%v: exit %d: %s", args, code, stderr)
		}
		return out.String()
	}
	fails := func(want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		if code, stderr := local(t, t.Context(), &out, args...); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
	}
	_, lines, _ := strings.Cut(ok("plugin", "keygen", name), "configuration:\n")
	if info, err := os.Stat(name + ".key"); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("private key: %v, %v", info, err)
	}
	c, err := config.Parse(config.Default(), "agent.hcl", []byte(`data_dir = "/x"`+"\nclient { enabled = true }\nserver { enabled = true }\n"+lines))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil || c.PluginTrust.Require != "signature" || c.PluginTrust.TrustedKeys["release"] == "" {
		t.Errorf("%+v, %v", c.PluginTrust, err)
	}
	fails("file exists", "plugin", "keygen", name)

	if out := ok("plugin", "sign", "-key", name+".key", binary); !strings.Contains(out, binary+".sig") {
		t.Errorf("printed %s", out)
	}
	if out := ok("plugin", "sign", "-check", "-key", name+".pub", binary); !strings.Contains(out, "is signed by key") {
		t.Errorf("printed %s", out)
	}
	ok("plugin", "keygen", filepath.Join(dir, "second"))
	fails("not trusted here", "plugin", "sign", "-check", "-key", filepath.Join(dir, "second.pub"), binary)
	ok("plugin", "sign", "-add", "-key", filepath.Join(dir, "second.key"), binary)
	ok("plugin", "sign", "-check", "-key", name+".pub", binary)
	ok("plugin", "sign", "-check", "-key", filepath.Join(dir, "second.pub"), binary)
	if err := os.WriteFile(binary, []byte("#!/bin/sh\nevil\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	fails("is not of this file", "plugin", "sign", "-check", "-key", name+".pub", binary)
	fails("it is a public key", "plugin", "sign", "-key", name+".pub", binary)
	fails("-key is missing", "plugin", "sign", binary)
	fails("not a regular file", "plugin", "sign", "-key", name+".key", dir)
}
