package config

import (
	"reflect"
	"strings"
	"time"
)

// later lists keys that configuration files in use may carry and that this release does not act on, with the reason
// that is shown. A trailing ".*" covers a whole block.
var later = map[string]string{
	"acl.*":                                "access control comes with a later release; every caller may do everything",
	"tls.tls_prefer_server_cipher_suites":  "the library chooses the best that both ends have",
	"consul.*":                             "services go to the built-in catalog",
	"vault.*":                              "no secret store is connected",
	"ui.*":                                 "there is no web page yet",
	"audit.*":                              "not part of Drover",
	"sentinel.*":                           "not part of Drover",
	"reporting.*":                          "not part of Drover",
	"keyring.*":                            "nothing is encrypted yet",
	"autopilot.*":                          "set it with `drover operator autopilot set-config`",
	"rpc.*":                                "the defaults are used",
	"eventlog.*":                           "logs go to stderr or log_file",
	"enable_syslog":                        "logs go to stderr or log_file",
	"syslog_facility":                      "logs go to stderr or log_file",
	"log_include_location":                 "log lines name their part of the agent instead",
	"log_rotate_duration":                  "rotate log_file from outside",
	"log_rotate_bytes":                     "rotate log_file from outside",
	"log_rotate_max_files":                 "rotate log_file from outside",
	"disable_update_check":                 "Drover never calls home",
	"disable_anonymous_signature":          "Drover never calls home",
	"server.authoritative_region":          "each region has its own state",
	"server.raft_protocol":                 "there is one version",
	"server.enable_event_broker":           "events are always on",
	"server.search.*":                      "the defaults are used",
	"server.plan_rejection_tracker.*":      "off",
	"server.raft_logstore.*":               "boltdb is used",
	"server.plan_apply_pipeline":           "plans are grouped instead",
	"server.deploy_query_rate_limit":       "watchers are told of changes instead of asking",
	"server.csi_volume_claim_gc_interval":  "there are no such volumes yet",
	"server.csi_volume_claim_gc_threshold": "there are no such volumes yet",
	"server.csi_plugin_gc_threshold":       "there are no such volumes yet",
	"server.acl_token_gc_threshold":        "there are no tokens yet",
	"server.root_key_gc_interval":          "nothing is encrypted yet",
	"server.root_key_gc_threshold":         "nothing is encrypted yet",
	"server.root_key_rotation_threshold":   "nothing is encrypted yet",
	"server.default_scheduler_config.*":    "set it over the API",
	"server.redundancy_zone":               "not part of this release",
	"server.upgrade_version":               "not part of this release",
	"server.license_path":                  "there is no licence key",
	"server.oidc_issuer":                   "there are no identities yet",
	"server.start_timeout":                 "the default is used",
	"server.data_dir":                      "it is always data_dir/server",
	"server.raft_multiplier":               "the defaults are used",
	"server.raft_snapshot_threshold":       "the defaults are used",
	"server.raft_snapshot_interval":        "the defaults are used",
	"server.raft_trailing_logs":            "the defaults are used",
	"client.disk_free_mb":                  "the disk's free space is measured",
	"client.chroot_env":                    "set chroot_env in the config of the driver's plugin block",
	"client.alloc_mounts_dir":              "the default is used",
	"client.host_volumes_dir":              "volumes come with a later release",
	"client.host_volume_plugin_dir":        "volumes come with a later release",
	"client.common_plugin_dir":             "there are no such plugins yet",
	"client.host_volume.*":                 "volumes come with a later release",
	"client.template.*":                    "the defaults are used",
	"client.artifact.*":                    "the defaults are used",
	"client.nomad_service_discovery":       "the built-in catalog is always on",
	"client.drain_on_shutdown.*":           "tasks keep running when the agent stops",
	"client.users.*":                       "no driver leases users yet",
	"client.fingerprint.*":                 "cloud fingerprints come with a later release",
	"client.preferred_address_family":      "the default route decides",
	"client.network_speed":                 "bandwidth is not scheduled",
	"client.no_host_uuid":                  "node ids are always random",
	"client.cpu_disable_dmidecode":         "it is never used",
	"client.gc_volumes_on_node_gc":         "volumes come with a later release",
	"client.default_ineligible":            "use `drover node eligibility`",
	"telemetry.*":                          "metrics are served at /v1/metrics",
	"limits.*":                             "the default is used",
}

// notActedOn tells why a known key has no effect.
func notActedOn(key string) (string, bool) {
	if r, ok := later[key]; ok {
		return r, true
	}
	for k := key; ; {
		if r, ok := later[k+".*"]; ok {
			return r, true
		}
		i := strings.LastIndex(k, ".")
		if i < 0 {
			return "", false
		}
		k = k[:i]
	}
}

// knownKeys lists every key with its path.
func knownKeys() []string {
	var out []string
	var walk func(prefix string, t reflect.Type)
	walk = func(prefix string, t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("cfg"), ",")
			if name == "-" || name == "" {
				continue
			}
			out = append(out, prefix+name)
			if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeOf(time.Time{}) {
				walk(prefix+name+".", f.Type)
			}
		}
	}
	walk("", reflect.TypeOf(Config{}))
	for k := range later {
		out = append(out, strings.TrimSuffix(k, ".*"))
	}
	return out
}
