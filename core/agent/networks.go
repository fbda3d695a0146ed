package agent

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/core/config"
)

// Where CNI plugins are looked for unless client.cni_path says so.
const systemCNIPath = "/opt/cni/bin:/usr/libexec/cni:/usr/lib/cni"

// networkSettings are what network plugins are told, under the names of the client block. The plugins that are built
// with the agent lie beside plugin_dir.
func networkSettings(c *config.Config, pluginDir string) map[string]string {
	s := map[string]string{
		"cni_path":                   c.Client.CNIPath,
		"cni_config_dir":             c.Client.CNIConfigDir,
		"bridge_network_name":        c.Client.BridgeName,
		"bridge_network_subnet":      c.Client.BridgeSubnet,
		"bridge_network_subnet_ipv6": c.Client.BridgeSubnetIPv6,
	}
	if s["cni_path"] == "" {
		s["cni_path"] = strings.Join([]string{filepath.Join(filepath.Dir(pluginDir), "cni"), systemCNIPath}, string(os.PathListSeparator))
	}
	if c.Client.BridgeHairpin {
		s["bridge_network_hairpin_mode"] = "true"
	}
	for k, v := range s {
		if v == "" {
			delete(s, k)
		}
	}
	return s
}
