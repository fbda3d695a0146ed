//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/droverhq/drover/cni/cnitest"
	"github.com/droverhq/drover/sdk/conformance"
)

// TestConformance checks the binary as a host sees it, with the bridge and with none.
func TestConformance(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	binary := filepath.Join(t.TempDir(), "drover-network-cni")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	plugins := cnitest.Binaries(t)
	for _, mode := range []string{"none", "bridge"} {
		t.Run(mode, func(t *testing.T) {
			conformance.Run(t, conformance.Config{Path: binary, NetworkMode: mode, NetworkSettings: map[string]string{
				"cni_path": plugins, "cni_config_dir": t.TempDir(), "bridge_network_name": "drvconf0",
				"bridge_network_subnet": "10.213.7.0/24", "bridge_network_subnet_ipv6": "fd00:d213:7::/64",
			}})
		})
	}
}
