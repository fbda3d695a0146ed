package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// build is one release of the raw_exec driver. Releases differ in version, bytes and state version.
type build struct {
	path    string
	version string
	bad     bool // recovers no task
}

const driverFile = "drover-driver-raw-exec"

// builds makes releases of the driver: good ones, then one that cannot recover tasks. The tag chaos gives the linker
// something to set; the binaries that are shipped have none of that.
func builds(t *testing.T, good int) (list []build) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i := range good + 1 {
		b := build{version: fmt.Sprintf("0.%d.0", i+1), bad: i == good}
		b.path = filepath.Join(dir, b.version)
		flags := fmt.Sprintf("-s -w -X main.version=%s -X main.stateVersion=%d", b.version, i+1)
		if b.bad {
			flags += " -X main.failRecovery=yes"
		}
		cmd := exec.Command("go", "build", "-tags", "chaos,grpcnotrace", "-trimpath", "-ldflags", flags, "-o", b.path,
			"./drivers-exec/cmd/"+driverFile)
		cmd.Dir = root
		for _, kv := range os.Environ() {
			if !strings.HasPrefix(kv, "GOWORK=") && !strings.HasPrefix(kv, "GOFLAGS=") {
				cmd.Env = append(cmd.Env, kv)
			}
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", b.version, err, out)
		}
		list = append(list, b)
	}
	return list
}

// install puts a release into plugin_dir: in one step, as a package manager does, or by remove and copy, as people do.
func install(t *testing.T, b build, dir string, byHand bool) {
	t.Helper()
	data, err := os.ReadFile(b.path)
	if err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(dir, driverFile)
	path := target
	if byHand {
		err = os.Remove(target)
	} else {
		path = filepath.Join(dir, ".new")
	}
	if err == nil {
		err = os.WriteFile(path, data, 0o755)
	}
	if err == nil && !byHand {
		err = os.Rename(path, target)
	}
	if err != nil {
		t.Fatal(err)
	}
}
