package taskenv

import (
	"strings"
)

// deniedByDefault are variables of the agent that tasks never see (option env.denylist replaces the list).
const deniedByDefault = "CONSUL_TOKEN,CONSUL_HTTP_TOKEN,CONSUL_HTTP_TOKEN_FILE,NOMAD_TOKEN,DROVER_TOKEN,VAULT_TOKEN,CONSUL_LICENSE," +
	"NOMAD_LICENSE,VAULT_LICENSE,CONSUL_LICENSE_PATH,NOMAD_LICENSE_PATH,VAULT_LICENSE_PATH," +
	"AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY,AWS_SESSION_TOKEN,AWS_METADATA_URL," +
	"GOOGLE_APPLICATION_CREDENTIALS,GOOGLE_OAUTH_ACCESS_TOKEN"

// HostEnv is the part of the agent's environment (in the form of os.Environ) that tasks may inherit. denylist is the
// option env.denylist, "" for the default.
func HostEnv(environ []string, denylist string) map[string]string {
	if denylist == "" {
		denylist = deniedByDefault
	}
	denied := map[string]bool{}
	for _, name := range strings.Split(denylist, ",") {
		denied[strings.TrimSpace(name)] = true
	}
	out := map[string]string{}
	for _, kv := range environ {
		k, v, ok := strings.Cut(kv, "=")
		if ok && k != "" && !denied[k] {
			out[k] = v
		}
	}
	return out
}
