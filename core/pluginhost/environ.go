package pluginhost

import (
	"strings"

	"github.com/droverhq/drover/core/secretenv"
)

// secretNames are the variables that plugins never inherit, as patterns: what an agent needs to prove who it is to
// others. A plugin that needs one for itself gets it through its config, or its block's env_allow.
func secretNames() []string {
	return append(secretenv.Names(), "AWS_*", "AZURE_*", "ARM_*", "GOOGLE_*CREDENTIALS*", "DIGITALOCEAN_*")
}

// ownSecrets are the agent's own: no list lets a plugin have them, because a plugin that needs the API needs a token of
// its own.
func ownSecrets() []string {
	return []string{"NOMAD_TOKEN", "DROVER_TOKEN", "NOMAD_HTTP_AUTH", "DROVER_HTTP_AUTH", "NOMAD_*KEY*", "DROVER_*KEY*"}
}

// hostNames are what a host of this agent's own set for it, and what would change how a plugin listens.
func hostNames() []string {
	return []string{"NOMAD_PLUGIN_MAGIC_COOKIE", "PLUGIN_*", runDirVariable, logSocketVariable, nodeVariable, clusterVariable, "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
		"WATCHDOG_USEC", "WATCHDOG_PID", "INVOCATION_ID", "JOURNAL_STREAM", "MEMORY_PRESSURE_WATCH"}
}

// plainNames are inherited even under a strict list: without them programs do not find their way.
func plainNames() []string {
	return []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_*", "TZ", "SHELL",
		"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "PROGRAMDATA", "PROGRAMFILES*", "USERPROFILE", "APPDATA",
		"LOCALAPPDATA", "NUMBER_OF_PROCESSORS", "PROCESSOR_*", "COMPUTERNAME", "TEMP", "TMP"}
}

// pluginEnviron is what of the agent's environment a plugin gets. allow, if not nil, is the operator's strict list: it
// alone decides, on others' secrets too.
func pluginEnviron(agent, allow []string) []string {
	var env []string
	for _, entry := range agent {
		name, _, _ := strings.Cut(entry, "=")
		switch {
		case name == "" || secretenv.Match(hostNames(), name) || secretenv.Match(ownSecrets(), name):
			continue
		case allow != nil && !secretenv.Match(allow, name) && !secretenv.Match(plainNames(), name):
			continue
		case allow == nil && secretenv.Match(secretNames(), name):
			continue
		}
		env = append(env, entry)
	}
	return env
}
