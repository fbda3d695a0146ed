package onemachine

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/droverhq/drover/e2e/harness"
)

// TestVerifyRawExec: the driver that needs nothing of the machine passes the conformance suite, as an author would run
// it.
func TestVerifyRawExec(t *testing.T) {
	bin := harness.Bin(t)
	verify := exec.Command(filepath.Join(bin, "drover"), "plugin", "verify", filepath.Join(bin, "plugins", "drover-driver-raw-exec"))
	if out, err := verify.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
