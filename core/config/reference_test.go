package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the tables of docs/guide/configuration.md anew")

// meanings says what each key is for. "" names the rows that only group others.
var meanings = map[string]string{
	"region":                    "name of the region; jobs of another region are refused",
	"datacenter":                "datacenter of this node",
	"name":                      "name of this agent and node; the host's name unless set",
	"data_dir":                  "absolute path; everything that must survive a restart. Required except with -dev",
	"plugin_dir":                "absolute path; where plugin binaries lie. <data_dir>/plugins unless set; with -dev the directory plugins beside the drover binary",
	"bind_addr":                 "IP address to listen on",
	"log_level":                 "TRACE, DEBUG, INFO, WARN or ERROR; changed by a reload",
	"log_json":                  "log lines as JSON",
	"log_file":                  "also log to this file; rotate it from outside",
	"enable_debug":              "serve profiles under /v1/agent/pprof",
	"http_api_response_headers": "headers added to every answer of the API",

	"ports.http": "HTTP API", "ports.rpc": "servers and nodes", "ports.serf": "gossip between servers, TCP and UDP; not with -dev",
	"addresses.http": "IP address for the HTTP API; bind_addr unless set", "addresses.rpc": "the same for RPC",
	"addresses.serf":     "the same for the gossip",
	"advertise.http":     "address told to others, host or host:port; the one listened on unless set",
	"advertise.rpc":      "the same for RPC; where every address is listened on, a private one of this machine",
	"advertise.serf":     "the same for the gossip",
	"leave_on_interrupt": "an interrupt takes a server out of its group for good",
	"leave_on_terminate": "the same for SIGTERM",

	"server.enabled":                                  "be a server",
	"server.bootstrap_expect":                         "servers that found the group together, the same number on each; 1 founds one alone. Unset: 1, or with server_join whatever group exists",
	"server.encrypt":                                  "key that encrypts the gossip, in base64; only founds the keyring, which is kept in data_dir/server/gossip",
	"server.server_join.retry_join":                   "host or host:port of other servers' gossip, asked until one answers",
	"server.server_join.start_join":                   "the same",
	"server.server_join.retry_interval":               "longest time between two tries",
	"server.server_join.retry_max":                    "tries; 0 is no limit",
	"server.retry_join":                               "older form of server_join.retry_join",
	"server.rejoin_after_leave":                       "join the servers known before the restart although this one had left",
	"server.non_voting_server":                        "keep the state and schedule, but do not vote",
	"server.num_schedulers":                           "scheduler workers; one for each CPU unless set",
	"server.enabled_schedulers":                       "job types this server schedules; all unless set",
	"server.node_gc_threshold":                        "a node that is down is forgotten after so long",
	"server.job_gc_interval":                          "how often ended jobs are looked for",
	"server.job_gc_threshold":                         "an ended job is forgotten after so long",
	"server.eval_gc_threshold":                        "an ended evaluation is forgotten after so long",
	"server.batch_eval_gc_threshold":                  "the same for evaluations of batch jobs",
	"server.deployment_gc_threshold":                  "an ended deployment is forgotten after so long",
	"server.heartbeat_grace":                          "a node may be late by so much before it counts as down",
	"server.min_heartbeat_ttl":                        "shortest time between two heartbeats of a node",
	"server.max_heartbeats_per_second":                "the time between heartbeats grows so that all nodes together send at most so many",
	"server.failover_heartbeat_ttl":                   "time nodes get to report to a new leader",
	"server.job_default_priority":                     "priority of jobs that name none",
	"server.job_max_priority":                         "highest priority a job may have",
	"server.job_max_count":                            "most instances a job may ask for",
	"server.job_max_source_size":                      "a longer job file is not kept for `job inspect`; K, M and G are powers of 1024",
	"server.job_tracked_versions":                     "versions kept of each job",
	"server.event_buffer_size":                        "entries the event stream can go back",
	"server.client_introduction.enforcement":          "what becomes of a node that the servers do not know and that shows no valid introduction token: none (it joins), warn (it joins and the log says so), strict (it is refused); -dev: none",
	"server.client_introduction.default_identity_ttl": "how long an introduction token is valid that is made without -ttl",
	"server.client_introduction.max_identity_ttl":     "the longest one may be valid",

	"client.enabled":                     "be a node",
	"client.servers":                     "host:port of servers; this agent's own server is always tried first",
	"client.server_join.retry_join":      "the same as client.servers",
	"client.server_join.start_join":      "the same",
	"client.server_join.retry_interval":  "not needed: a node tries for ever, at most every 15 s",
	"client.server_join.retry_max":       "not needed",
	"client.node_class":                  "class, for constraints on ${node.class}",
	"client.node_pool":                   "pool this node is in",
	"client.meta":                        "values for constraints on ${meta.key}",
	"client.state_dir":                   "the node's state; <data_dir>/client unless set",
	"client.alloc_dir":                   "allocations' directories; <data_dir>/alloc unless set",
	"client.options":                     "free options: `env.denylist`; `user.denylist` (unset: root and Administrator), the users as which no task of the drivers in `user.checked_drivers` (unset: those that put tasks into a root of their own, as exec and java do) may run; `fingerprint.*`; also handed to plugins",
	"client.network_interface":           "interface whose addresses ports are opened on; that of the default route unless set, loopback with -dev",
	"client.cpu_total_compute":           "MHz of this machine, where they are not found or not true",
	"client.memory_total_mb":             "MB of memory, the same",
	"client.disk_total_mb":               "MB of disk, the same",
	"client.reserved.cpu":                "MHz kept for the machine itself",
	"client.reserved.memory":             "MB kept",
	"client.reserved.disk":               "MB kept",
	"client.reserved.cores":              "cores that no task gets, as \"0-1,4\"; their MHz count as kept",
	"client.reservable_cores":            "cores that tasks may have for themselves, as \"2-15\"; all of them unless set",
	"client.reserved.reserved_ports":     "ports no task gets, as \"22,80,8000-8100\"",
	"client.max_kill_timeout":            "a task's kill_timeout is cut to this",
	"client.min_dynamic_port":            "lowest dynamic port",
	"client.max_dynamic_port":            "highest dynamic port",
	"client.client_min_port":             "lowest port plugins may listen on, where they use TCP",
	"client.client_max_port":             "highest of them",
	"client.gc_interval":                 "how often ended allocations are looked at",
	"client.gc_parallel_destroys":        "directories removed at a time",
	"client.gc_disk_usage_threshold":     "percent of the disk above which the oldest ended allocations are removed",
	"client.gc_inode_usage_threshold":    "the same for inodes",
	"client.gc_max_allocs":               "ended allocations kept on the node; the oldest beyond that are removed",
	"client.disable_remote_exec":         "refuse `alloc exec`",
	"client.cgroup_parent":               "name of the cgroup above those of tasks",
	"client.node_max_allocs":             "most allocations placed on this node; 0 is no limit",
	"client.host_network.cidr":           "addresses in this network",
	"client.host_network.interface":      "addresses of this interface",
	"client.host_network.reserved_ports": "ports no task gets on these addresses",
	"tls.http":                           "serve the HTTP API with TLS",
	"tls.rpc":                            "TLS between agents: on the RPC port, and to it",
	"tls.ca_file":                        "certificates of the authorities that are believed, PEM. The files are read again by a reload",
	"tls.cert_file":                      "certificate of this agent, PEM, with intermediate ones after it; its name says what the agent may do: `server.<region>.drover` or `client.<region>.drover` (also `.nomad`)",
	"tls.key_file":                       "its key",
	"tls.verify_server_hostname":         "act on those names; off, whoever has any certificate of the authority may do what a server may",
	"tls.verify_https_client":            "refuse users of the HTTP API that have no certificate of the authority",
	"tls.rpc_upgrade_mode":               "on a server: also let agents without TLS in, while a fleet is moved to it",
	"tls.tls_min_version":                "`tls12` or `tls13`",
	"tls.tls_cipher_suites":              "cipher suites of TLS 1.2 by their names, with commas between them; the library's unless set",
	"telemetry.prometheus_metrics":       "answer /v1/metrics?format=prometheus; on with -dev",
	"plugin_trust.require":               "what every plugin binary must bring: `none`, `pin` (the SHA-256 in its plugin block) or `signature` (of a trusted key). A pin that is given must match at every level",
	"plugin_trust.trusted_keys":          "public keys by name: the line that `drover plugin keygen` prints, or the absolute path of its `.pub` file",
	"plugin.require":                     "the same for this plugin alone; `plugin_trust.require` unless set",
	"plugin.sha256":                      "SHA-256 of the binary that may run, in hex, or a list of them",
	"plugin.user":                        "user, by name or number, that the plugin runs as, with its groups; the agent must be root. Unset, the agent's",
	"plugin.env_allow":                   "variables of the agent that the plugin inherits, `*` being any text, besides `PATH` and the like; unset, all but secrets. The agent's own secrets never",
	"plugin.upgrade":                     "what a changed binary does: `hand-over` gives the running tasks to the new version, `drain` lets the old one keep them until they end, `manual` waits for `drover plugin reload NAME`. Unset, `hand-over` where both versions can, `drain` otherwise",
	"plugin.args":                        "arguments for the binary",
	"plugin.config":                      "settings for the plugin, checked against its schema",

	"client.cni_path":                           "directories of CNI plugins, separated by `:`; unset, `cni` beside `plugin_dir`, then `/opt/cni/bin:/usr/libexec/cni:/usr/lib/cni`",
	"client.cni_config_dir":                     "directory of CNI configuration lists, each a network mode `cni/<name>`; changes are seen within seconds",
	"client.bridge_network_name":                "name of the bridge that network mode `bridge` uses",
	"client.bridge_network_subnet":              "IPv4 network that its addresses come from",
	"client.bridge_network_subnet_ipv6":         "IPv6 network, such as `fd00:26::/64`; unset, the bridge has IPv4 only",
	"client.bridge_network_hairpin_mode":        "let an allocation reach itself through its own mapped ports",
	"client.bind_wildcard_default_host_network": "open mapped ports of the default host network on every address of the machine, not on the network's alone",
}

// TestReference keeps docs/guide/configuration.md in step with the code: go test ./core/config -run TestReference -update.
func TestReference(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "guide", "configuration.md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const mark = "<!-- generated from here on: go test ./core/config -run TestReference -update -->\n"
	head, tail, ok := strings.Cut(string(b), mark)
	if !ok {
		t.Fatalf("%s has no line %q", path, mark)
	}
	want := "\n" + reference(t)
	if *update {
		if err := os.WriteFile(path, []byte(head+mark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if tail != want {
		t.Errorf("%s is stale; refresh it with -update", path)
	}
}

type row struct{ key, def, meaning string }

func reference(t *testing.T) string {
	var acted, idle []row
	source := agentSource(t)
	seen := map[string]bool{}
	walk(reflect.ValueOf(*Default()), "", "", func(key, field string, v reflect.Value) {
		meaning, ok := meanings[key]
		if !ok {
			t.Errorf("key %s has no meaning in reference_test.go", key)
		}
		seen[key] = true
		r := row{key, defaultText(v), meaning}
		if usedIn(source, field) {
			acted = append(acted, r)
		} else {
			idle = append(idle, r)
		}
	})
	for key := range meanings {
		if !seen[key] {
			t.Errorf("reference_test.go has a meaning for %s, which is no key", key)
		}
	}
	var b strings.Builder
	b.WriteString("## Keys that are acted on\n\n| key | default | meaning |\n|---|---|---|\n")
	for _, r := range acted {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.key, r.def, r.meaning)
	}
	if len(idle) > 0 {
		b.WriteString("\n## Keys that are read and have no effect yet\n\nNo warning is given for these.\n\n| key | default | meaning |\n|---|---|---|\n")
		for _, r := range idle {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.key, r.def, r.meaning)
		}
	}
	b.WriteString("\n## Keys that are known and warned of\n\nFiles in use elsewhere may carry these. The agent starts and says in its log that it does not act on them, and why.\n\n| key | why |\n|---|---|\n")
	names := make([]string, 0, len(later))
	for k := range later {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		reason := later[k]
		if k == "telemetry.*" || k == "limits.*" {
			reason += " (keys other than those above)"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", k, reason)
	}
	return b.String()
}

// walk calls leaf for every key, with the way to its field ("Server.JobGCInterval"). Elements of repeated blocks count
// as used as a whole: field is then that of the block.
func walk(v reflect.Value, prefix, way string, leaf func(key, field string, v reflect.Value)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, label, _ := strings.Cut(f.Tag.Get("cfg"), ",")
		if name == "-" || name == "" || label == "label" {
			continue
		}
		switch {
		case f.Type.Kind() == reflect.Struct:
			walk(v.Field(i), prefix+name+".", f.Name, leaf)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			block := way + "." + f.Name
			walk(reflect.New(f.Type.Elem()).Elem(), prefix+name+".", block, func(key, _ string, v reflect.Value) { leaf(key, block, v) })
		default:
			leaf(prefix+name, way+"."+f.Name, v.Field(i))
		}
	}
}

// agentSource is the code that turns a configuration into an agent, without the defaults.
func agentSource(t *testing.T) string {
	files, err := filepath.Glob("../agent/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sources in ../agent: %v", err)
	}
	var b strings.Builder
	own, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, own...) {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(src)) {
			if !setsTrue.MatchString(line) {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

var setsTrue = regexp.MustCompile(`= true\s*$`)

// usedIn tells whether code reads a field: "Server.JobGCInterval", or ".Name" of the configuration itself. A
// block is named, or is a receiver or variable of a short name.
func usedIn(source, field string) bool {
	block, name, _ := strings.Cut(field, ".")
	owner := `(c|s|next|config|base)`
	if block != "" {
		owner = `(` + block + `|` + strings.ToLower(block[:1]) + `|j|intro)`
	}
	return regexp.MustCompile(`\b` + owner + `\.` + name + `\b`).MatchString(source)
}

func defaultText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		if x == 0 {
			return ""
		}
		s := x.String()
		s = regexp.MustCompile(`([a-z])0s$`).ReplaceAllString(s, "$1")
		return "`\"" + regexp.MustCompile(`h0m$`).ReplaceAllString(s, "h") + "\"`"
	case string:
		if x == "" {
			return ""
		}
		return fmt.Sprintf("`%q`", x)
	}
	if v.IsZero() && v.Kind() != reflect.Bool {
		return ""
	}
	return fmt.Sprintf("`%v`", v.Interface())
}
