// Package secretenv knows which variables of an environment hold secrets, by their names. What the agent was given to
// prove who it is reaches neither plugins nor tasks.
package secretenv

import (
	"path"
	"strings"
)

// Names are patterns, in capitals, of variables that hold a secret or say where one lies.
func Names() []string {
	return []string{
		"*_TOKEN", "*_TOKEN_FILE", "*_SECRET", "*_SECRET_ID", "*_SECRET_KEY", "*_ACCESS_KEY", "*_ACCESS_KEY_ID", "*_PASSWORD", "*_PASSWD",
		"*_PASSPHRASE", "*_PRIVATE_KEY", "*_API_KEY", "*_APIKEY", "*_CREDENTIALS", "*_HTTP_AUTH", "CONSUL_*TOKEN*", "NOMAD_*KEY*", "DROVER_*KEY*",
		"PGPASSWORD", "MYSQL_PWD", "AWS_METADATA_URL", "SSH_AUTH_SOCK",
		"CONSUL_LICENSE", "NOMAD_LICENSE", "VAULT_LICENSE", "CONSUL_LICENSE_PATH", "NOMAD_LICENSE_PATH", "VAULT_LICENSE_PATH",
	}
}

// Match reports whether a variable's name matches one of the patterns. Patterns are compared as they are; name may have
// small letters where patterns are in capitals: Windows does not mind case, and a secret in small letters is one too.
func Match(patterns []string, name string) bool {
	upper := strings.ToUpper(name)
	for _, p := range patterns {
		for _, n := range []string{name, upper} {
			if ok, err := path.Match(p, n); err == nil && ok {
				return true
			}
		}
	}
	return false
}
