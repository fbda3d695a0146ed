package pluginhost

import (
	"path"
	"strings"
)

// secretNames are the variables that plugins never inherit, as patterns: what an agent needs to prove who it is to
// others. A plugin that needs one for itself gets it through its config, or its block's env_allow.
func secretNames() []string {
	return []string{
		"NOMAD_TOKEN", "DROVER_TOKEN", "VAULT_TOKEN", "CONSUL_*TOKEN*", "CONSUL_HTTP_AUTH", "NOMAD_*KEY*", "DROVER_*KEY*",
		"NOMAD_HTTP_AUTH", "DROVER_HTTP_AUTH", "AWS_*", "AZURE_*", "ARM_*", "GOOGLE_*CREDENTIALS*", "DIGITALOCEAN_*",
		"GITHUB_TOKEN", "GITLAB_TOKEN", "*_TOKEN", "*_TOKEN_FILE", "*_SECRET", "*_SECRET_KEY", "*_ACCESS_KEY", "*_PASSWORD",
		"*_PASSWD", "*_PRIVATE_KEY", "*_API_KEY", "*_APIKEY", "*_CREDENTIALS", "PGPASSWORD",
	}
}

// hostNames are what a host of this agent's own set for it, and what would change how a plugin listens.
func hostNames() []string {
	return []string{"NOMAD_PLUGIN_MAGIC_COOKIE", "PLUGIN_*", runDirVariable, "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
		"WATCHDOG_USEC", "WATCHDOG_PID", "INVOCATION_ID", "JOURNAL_STREAM", "MEMORY_PRESSURE_WATCH"}
}

// plainNames are inherited even under a strict list: without them programs do not find their way.
func plainNames() []string {
	return []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_*", "TZ", "SHELL",
		"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "PROGRAMDATA", "PROGRAMFILES*", "USERPROFILE", "APPDATA",
		"LOCALAPPDATA", "NUMBER_OF_PROCESSORS", "PROCESSOR_*", "COMPUTERNAME", "TEMP", "TMP"}
}

// pluginEnviron is what of the agent's environment a plugin gets. allow, if not nil, is the operator's strict list: it
// alone decides, secrets included.
func pluginEnviron(agent, allow []string) []string {
	var env []string
	for _, entry := range agent {
		name, _, _ := strings.Cut(entry, "=")
		upper := strings.ToUpper(name) // Windows does not mind case, and a secret in small letters is one too
		switch {
		case name == "" || matches(hostNames(), upper):
			continue
		case allow != nil && !matches(allow, name) && !matches(plainNames(), upper):
			continue
		case allow == nil && matches(secretNames(), upper):
			continue
		}
		env = append(env, entry)
	}
	return env
}

func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, name); err == nil && ok {
			return true
		}
	}
	return false
}
