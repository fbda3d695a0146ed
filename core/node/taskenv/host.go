package taskenv

import (
	"strings"

	"github.com/droverhq/drover/core/secretenv"
)

// deniedByDefault are variables of the agent that tasks never see, besides those whose names say that they are secret
// (option env.denylist replaces both): how the agent itself is reached and was started.
func deniedByDefault() []string {
	return append(secretenv.Names(), "GOOGLE_OAUTH_ACCESS_TOKEN", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC",
		"WATCHDOG_PID", "INVOCATION_ID", "JOURNAL_STREAM", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "CREDENTIALS_DIRECTORY")
}

// HostEnv is the part of the agent's environment (in the form of os.Environ) that tasks may inherit. denylist is the
// option env.denylist, names or patterns with commas between them, "" for the default.
func HostEnv(environ []string, denylist string) map[string]string {
	denied := deniedByDefault()
	if denylist != "" {
		denied = nil
		for _, name := range strings.Split(denylist, ",") {
			denied = append(denied, strings.TrimSpace(name))
		}
	}
	out := map[string]string{}
	for _, kv := range environ {
		k, v, ok := strings.Cut(kv, "=")
		if ok && k != "" && !secretenv.Match(denied, k) {
			out[k] = v
		}
	}
	return out
}
