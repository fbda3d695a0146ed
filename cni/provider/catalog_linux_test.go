package provider

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/droverhq/drover/cni/child"
)

// TestVersionOfACancelledAsk: a plugin that was not given the time to say its version is asked again.
func TestVersionOfACancelledAsk(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "bridge")
	if err := os.WriteFile(file, []byte("#!/bin/sh\necho CNI bridge plugin v1.9.1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c, family := newCatalog(), child.NewFamily("test-")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if got := c.versions(over, family, []string{dir}); got["bridge"] != protocol {
		t.Errorf("not asked: %v", got)
	}
	if got := c.versions(t.Context(), family, []string{dir}); got["bridge"] != "v1.9.1" {
		t.Errorf("asked again: %v", got)
	}
}
