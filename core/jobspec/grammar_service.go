package jobspec

import "time"

func serviceBlock() *Block {
	return &Block{Name: "service", Fields: []Field{
		attr("name", "Name", String, yes, nil, "name to be found under; job-group[-task] unless set"),
		attr("provider", "Provider", String, yes, "consul", "consul or nomad, the built-in catalog"),
		attr("port", "PortLabel", String, yes, nil, "label of the port"),
		attr("tags", "Tags", Strings, yes, nil, "tags"),
		attr("canary_tags", "CanaryTags", Strings, yes, nil, "tags while the instance is a canary"),
		attr("meta", "Meta", StringMap, yes, nil, "values kept with the service"),
		attr("canary_meta", "CanaryMeta", StringMap, yes, nil, "values while the instance is a canary"),
		attr("tagged_addresses", "TaggedAddresses", StringMap, yes, nil, "further addresses"),
		attr("enable_tag_override", "EnableTagOverride", Bool, yes, nil, "let others change the tags"),
		attr("address_mode", "AddressMode", String, yes, "auto", "which address is registered"),
		attr("address", "Address", String, yes, nil, "literal address"),
		attr("task", "TaskName", String, yes, nil, "task that owns the service"),
		attr("on_update", "OnUpdate", String, yes, "require_healthy", "how checks count during an update"),
		blocks("check", "Checks", yes, checkBlock(), "health check"),
		block("check_restart", "CheckRestart", yes, checkRestartBlock(), "default for the checks"),
		block("connect", "Connect", notYet, connectBlock(), "service mesh"),
		block("identity", "Identity", notYet, identityBlock(), "token of the service"),
		block("weights", "Weights", yes, &Block{Name: "weights", Fields: []Field{
			attr("passing", "Passing", Int, yes, int64(1), "weight while healthy"),
			attr("warning", "Warning", Int, yes, int64(1), "weight while in warning"),
		}}, "weights for DNS answers"),
		attr("cluster", "Cluster", String, yes, "default", "Consul cluster").only("default"),
		attr("kind", "Kind", String, notYet, nil, "kind of Consul gateway"),
	}}
}

func checkBlock() *Block {
	return &Block{Name: "check", Fields: []Field{
		attr("name", "Name", String, yes, nil, "name of the check"),
		attr("type", "Type", String, yes, nil, "http, tcp, grpc or script"),
		attr("interval", "Interval", Duration, yes, nil, "between two tries"),
		attr("timeout", "Timeout", Duration, yes, nil, "longest try"),
		attr("path", "Path", String, yes, nil, "path of an http check"),
		attr("method", "Method", String, yes, nil, "method of an http check"),
		attr("body", "Body", String, yes, nil, "body of an http check"),
		attr("header", "Header", ListMap, yes, nil, "headers of an http check"),
		attr("protocol", "Protocol", String, yes, nil, "http or https"),
		attr("port", "PortLabel", String, yes, nil, "label of the port; the service's unless set"),
		attr("address_mode", "AddressMode", String, yes, "host", "which address is checked"),
		attr("command", "Command", String, yes, nil, "program of a script check"),
		attr("args", "Args", Strings, yes, nil, "its arguments"),
		attr("task", "TaskName", String, yes, nil, "task the check runs in"),
		attr("grpc_service", "GRPCService", String, yes, nil, "service of a grpc check"),
		attr("grpc_use_tls", "GRPCUseTLS", Bool, yes, nil, "grpc over TLS"),
		attr("tls_skip_verify", "TLSSkipVerify", Bool, yes, nil, "skip TLS verification"),
		attr("tls_server_name", "TLSServerName", String, yes, nil, "expected server name"),
		attr("expose", "Expose", Bool, notYet, nil, "expose through the sidecar"),
		attr("initial_status", "InitialStatus", String, yes, nil, "passing, warning or critical"),
		attr("notes", "Notes", String, yes, nil, "for people"),
		attr("on_update", "OnUpdate", String, yes, nil, "how it counts during an update; the service's unless set"),
		attr("success_before_passing", "SuccessBeforePassing", Int, yes, nil, "successes in a row"),
		attr("failures_before_critical", "FailuresBeforeCritical", Int, yes, nil, "failures in a row"),
		attr("failures_before_warning", "FailuresBeforeWarning", Int, yes, nil, "failures in a row"),
		block("check_restart", "CheckRestart", yes, checkRestartBlock(), "restart of an unhealthy task"),
	}}
}

func checkRestartBlock() *Block {
	return &Block{Name: "check_restart", Fields: []Field{
		attr("limit", "Limit", Int, yes, nil, "failures before a restart; 0 is never"),
		attr("grace", "Grace", Duration, yes, ns(time.Second), "wait after a start"),
		attr("ignore_warnings", "IgnoreWarnings", Bool, yes, nil, "warnings count as healthy"),
	}}
}

// connectBlock is the grammar of the service mesh. It is read and checked as a whole; model keeps it as an object.
func connectBlock() *Block {
	return &Block{Name: "connect", Fields: []Field{
		attr("native", "Native", Bool, yes, nil, "the task speaks the mesh protocol itself"),
		block("sidecar_service", "SidecarService", yes, &Block{Name: "sidecar_service", Fields: []Field{
			attr("tags", "Tags", Strings, yes, nil, "tags of the sidecar"),
			attr("port", "Port", String, yes, nil, "port label"),
			attr("disable_default_tcp_check", "DisableDefaultTCPCheck", Bool, yes, nil, "no check of the sidecar"),
			attr("meta", "Meta", StringMap, yes, nil, "values kept with the sidecar"),
			block("proxy", "Proxy", yes, proxyBlock(), "the proxy"),
		}}, "a proxy beside the tasks"),
		block("sidecar_task", "SidecarTask", yes, sidecarTaskBlock(), "overrides of the proxy's task"),
		block("gateway", "Gateway", yes, gatewayBlock(), "a gateway of the mesh"),
	}}
}

func sidecarTaskBlock() *Block {
	return &Block{Name: "sidecar_task", fold: foldIdentities, Fields: append(taskBasics(),
		attr("name", "Name", String, yes, nil, "name of the task"))}
}

func proxyBlock() *Block {
	return &Block{Name: "proxy", Fields: []Field{
		attr("local_service_address", "LocalServiceAddress", String, yes, nil, "address of the service"),
		attr("local_service_port", "LocalServicePort", Int, yes, nil, "port of the service"),
		attr("config", "Config", Free, yes, nil, "settings of the proxy"),
		blocks("upstreams", "Upstreams", yes, &Block{Name: "upstreams", Fields: []Field{
			attr("destination_name", "DestinationName", String, yes, nil, "service to reach"),
			attr("destination_namespace", "DestinationNamespace", String, yes, nil, "its namespace"),
			attr("destination_peer", "DestinationPeer", String, yes, nil, "its peer"),
			attr("destination_partition", "DestinationPartition", String, yes, nil, "its partition"),
			attr("destination_type", "DestinationType", String, yes, nil, "its kind"),
			attr("local_bind_port", "LocalBindPort", Int, yes, nil, "port here"),
			attr("local_bind_address", "LocalBindAddress", String, yes, nil, "address here"),
			attr("local_bind_socket_path", "LocalBindSocketPath", String, yes, nil, "socket here"),
			attr("local_bind_socket_mode", "LocalBindSocketMode", String, yes, nil, "mode of the socket"),
			attr("datacenter", "Datacenter", String, yes, nil, "its datacenter"),
			block("mesh_gateway", "MeshGateway", yes, &Block{Name: "mesh_gateway", Fields: []Field{
				attr("mode", "Mode", String, yes, nil, "none, local or remote"),
			}}, "way through gateways"),
			attr("config", "Config", Free, yes, nil, "settings of the upstream"),
		}}, "service reached through the proxy"),
		block("expose", "Expose", yes, &Block{Name: "expose", Fields: []Field{
			blocks("path", "Paths", yes, &Block{Name: "path", Fields: []Field{
				attr("path", "Path", String, yes, nil, "path"),
				attr("protocol", "Protocol", String, yes, nil, "http or http2"),
				attr("local_path_port", "LocalPathPort", Int, yes, nil, "port of the service"),
				attr("listener_port", "ListenerPort", String, yes, nil, "label of the port"),
			}}, "one path"),
		}}, "paths open without the mesh"),
		block("transparent_proxy", "TransparentProxy", yes, &Block{Name: "transparent_proxy", Fields: []Field{
			attr("uid", "UID", String, yes, nil, "user of the proxy"),
			attr("outbound_port", "OutboundPort", Int, yes, nil, "port of the proxy"),
			attr("exclude_inbound_ports", "ExcludeInboundPorts", Strings, yes, nil, "labels or numbers"),
			attr("exclude_outbound_ports", "ExcludeOutboundPorts", Strings, yes, nil, "numbers"),
			attr("exclude_outbound_cidrs", "ExcludeOutboundCIDRs", Strings, yes, nil, "address ranges"),
			attr("exclude_uids", "ExcludeUIDs", Strings, yes, nil, "users"),
			attr("no_dns", "NoDNS", Bool, yes, nil, "leave DNS alone"),
		}}, "traffic is caught"),
	}}
}

func gatewayBlock() *Block {
	return &Block{Name: "gateway", Fields: []Field{
		block("proxy", "Proxy", yes, &Block{Name: "proxy", Fields: []Field{
			attr("connect_timeout", "ConnectTimeout", Duration, yes, ns(5*time.Second), "to reach a service"),
			attr("envoy_gateway_bind_tagged_addresses", "EnvoyGatewayBindTaggedAddresses", Bool, yes, nil, "bind them"),
			blocks("envoy_gateway_bind_addresses", "EnvoyGatewayBindAddresses", yes, &Block{
				Name: "envoy_gateway_bind_addresses", Fields: []Field{
					attr("", "Name", String, yes, nil, "name of the address"),
					attr("address", "Address", String, yes, nil, "address"),
					attr("port", "Port", Int, yes, nil, "port"),
				}}, "address to bind").keyed("Name"),
			attr("envoy_gateway_no_default_bind", "EnvoyGatewayNoDefaultBind", Bool, yes, nil, "bind nothing else"),
			attr("envoy_dns_discovery_type", "EnvoyDNSDiscoveryType", String, yes, nil, "STRICT_DNS or LOGICAL_DNS"),
			attr("config", "Config", Free, yes, nil, "settings of the proxy"),
		}}, "the gateway's proxy"),
		block("ingress", "Ingress", yes, &Block{Name: "ingress", Fields: []Field{
			block("tls", "TLS", yes, gatewayTLSBlock(), "TLS of all listeners"),
			blocks("listener", "Listeners", yes, listenerBlock(), "one port"),
		}}, "traffic into the mesh"),
		block("terminating", "Terminating", yes, &Block{Name: "terminating", Fields: []Field{
			blocks("service", "Services", yes, &Block{Name: "service", Fields: []Field{
				attr("name", "Name", String, yes, nil, "service outside the mesh"),
				attr("ca_file", "CAFile", String, yes, nil, "its CA"),
				attr("cert_file", "CertFile", String, yes, nil, "our certificate"),
				attr("key_file", "KeyFile", String, yes, nil, "our key"),
				attr("sni", "SNI", String, yes, nil, "its name in TLS"),
			}}, "one service"),
		}}, "traffic out of the mesh"),
		block("mesh", "Mesh", yes, &Block{Name: "mesh"}, "traffic between meshes"),
	}}
}

func gatewayTLSBlock() *Block {
	return &Block{Name: "tls", Fields: []Field{
		attr("enabled", "Enabled", Bool, yes, nil, "listen with TLS"),
		attr("tls_min_version", "TLSMinVersion", String, yes, nil, "lowest version"),
		attr("tls_max_version", "TLSMaxVersion", String, yes, nil, "highest version"),
		attr("cipher_suites", "CipherSuites", Strings, yes, nil, "cipher suites"),
		block("sds", "SDS", yes, &Block{Name: "sds", Fields: []Field{
			attr("cluster_name", "ClusterName", String, yes, nil, "who serves certificates"),
			attr("cert_resource", "CertResource", String, yes, nil, "which certificate"),
		}}, "certificates from elsewhere"),
	}}
}

func listenerBlock() *Block {
	headers := &Block{Name: "headers", Fields: []Field{
		attr("add", "Add", StringMap, yes, nil, "added"),
		attr("set", "Set", StringMap, yes, nil, "replaced"),
		attr("remove", "Remove", Strings, yes, nil, "removed"),
	}}
	return &Block{Name: "listener", Fields: []Field{
		attr("port", "Port", Int, yes, nil, "port"),
		attr("protocol", "Protocol", String, yes, "tcp", "tcp, http, http2 or grpc"),
		blocks("service", "Services", yes, &Block{Name: "service", Fields: []Field{
			attr("name", "Name", String, yes, nil, "service in the mesh"),
			attr("hosts", "Hosts", Strings, yes, nil, "host names"),
			block("tls", "TLS", yes, gatewayTLSBlock(), "TLS of this service"),
			block("request_headers", "RequestHeaders", yes, headers, "changes on the way in"),
			block("response_headers", "ResponseHeaders", yes, headers, "changes on the way out"),
			attr("max_connections", "MaxConnections", Int, yes, nil, "limit"),
			attr("max_pending_requests", "MaxPendingRequests", Int, yes, nil, "limit"),
			attr("max_concurrent_requests", "MaxConcurrentRequests", Int, yes, nil, "limit"),
		}}, "one service"),
	}}
}
