package jobspec

import "time"

func taskBlock() *Block {
	b := &Block{Name: "task", fold: foldTask, Fields: append(taskBasics(), []Field{
		attr("", "Name", String, yes, nil, "name of the task, the block's label"),
		blocks("constraint", "Constraints", yes, constraintBlock(), "what a node must offer"),
		blocks("affinity", "Affinities", yes, affinityBlock(), "what a node should offer"),
		block("restart", "RestartPolicy", yes, restartBlock(), "restarts on the node").present(allTypes...),
		blocks("artifact", "Artifacts", yes, artifactBlock(), "file to fetch first"),
		blocks("template", "Templates", yes, templateBlock(), "file or environment to render"),
		blocks("service", "Services", yes, serviceBlock(), "names under which the task is found"),
		block("vault", "Vault", notYet, vaultBlock(), "Vault token"),
		block("consul", "Consul", yes, consulBlock(), "Consul cluster and namespace"),
		blocks("secret", "Secrets", notYet, secretBlock(), "secret to fetch at start").labelled("Name"),
		block("csi_plugin", "CSIPluginConfig", notYet, csiPluginBlock(), "the task is a storage plugin"),
		block("dispatch_payload", "DispatchPayload", yes, &Block{Name: "dispatch_payload", Fields: []Field{
			attr("file", "File", String, yes, nil, "file under local/ that receives the payload"),
		}}, "where a dispatched payload goes"),
		block("lifecycle", "Lifecycle", yes, &Block{Name: "lifecycle", Fields: []Field{
			attr("hook", "Hook", String, yes, nil, "prestart, poststart or poststop").required(),
			attr("sidecar", "Sidecar", Bool, yes, nil, "runs beside the main tasks"),
		}}, "when the task runs"),
		attr("leader", "Leader", Bool, yes, nil, "its end stops the group"),
		attr("kind", "Kind", String, notYet, nil, "internal"),
		blocks("scaling", "ScalingPolicies", notYet, scalingBlock(), "vertical scaling of cpu or mem").labelled("Type"),
		blocks("action", "Actions", yes, &Block{Name: "action", Fields: []Field{
			attr("", "Name", String, yes, nil, "name of the action"),
			attr("command", "Command", String, yes, nil, "program"),
			attr("args", "Args", Strings, yes, nil, "its arguments"),
		}}, "command to run on demand").labelled("Name"),
		block("schedule", "Schedule", notYet, &Block{Name: "schedule", Fields: []Field{
			block("cron", "Cron", yes, &Block{Name: "cron", Fields: []Field{
				attr("start", "Start", String, yes, nil, "cron expression of the start"),
				attr("end", "End", String, yes, nil, "cron expression of the end"),
				attr("timezone", "Timezone", String, yes, nil, "IANA zone"),
			}}, "times of day"),
		}}, "hours in which the task runs"),
	}...)}
	return b
}

// taskBasics are the fields that a connect sidecar_task may override too.
func taskBasics() []Field {
	return []Field{
		attr("driver", "Driver", String, yes, nil, "plugin that runs the task"),
		attr("user", "User", String, yes, nil, "user that runs the task"),
		attr("config", "Config", Config, yes, nil, "settings for the driver, checked against its schema"),
		attr("env", "Env", StringMap, yes, nil, "environment variables"),
		attr("meta", "Meta", StringMap, yes, nil, "values handed to the task"),
		block("resources", "Resources", yes, resourcesBlock(), "what the task needs").present(allTypes...),
		block("logs", "LogConfig", yes, logsBlock(), "how much output is kept").present(allTypes...),
		blocks("volume_mount", "VolumeMounts", notYet, volumeMountBlock(), "volume shown to the task"),
		blocks("identity", "", yes, identityBlock(), "signed token for the task"),
		block("", "Identity", yes, identityBlock(), "the default identity"),
		blocks("", "Identities", notYet, identityBlock(), "identities with a name"),
		attr("kill_timeout", "KillTimeout", Duration, yes, ns(5*time.Second), "between kill_signal and the forced kill"),
		attr("kill_signal", "KillSignal", String, yes, nil, "signal that asks the task to end"),
		attr("shutdown_delay", "ShutdownDelay", Duration, yes, nil, "wait between deregistration and kill"),
	}
}

func resourcesBlock() *Block {
	return &Block{Name: "resources", Fields: []Field{
		attr("cpu", "CPU", Int, yes, nil, "MHz; 100 unless cores is set"),
		attr("cores", "Cores", Int, yes, nil, "whole cores for this task alone"),
		attr("memory", "MemoryMB", Int, yes, int64(300), "MB"),
		attr("memory_max", "MemoryMaxMB", Int, yes, nil, "MB the task may use when memory is free; -1 is no limit"),
		attr("secrets", "SecretsMB", Int, notYet, nil, "MB for the secrets directory"),
		attr("disk", "DiskMB", Int, yes, nil, "refused: ephemeral_disk"),
		attr("iops", "IOPS", Int, yes, nil, "deprecated, without effect"),
		blocks("network", "Networks", notYet, networkBlock(), "deprecated: the group's network"),
		blocks("device", "Devices", yes, &Block{Name: "device", Fields: []Field{
			attr("", "Name", String, yes, nil, "type, vendor/type or vendor/type/name"),
			attr("count", "Count", Int, yes, int64(1), "instances").within(0, 1<<31),
			blocks("constraint", "Constraints", yes, constraintBlock(), "what a device must offer"),
			blocks("affinity", "Affinities", yes, affinityBlock(), "what a device should offer"),
		}}, "device to reserve").labelled("Name"),
		block("numa", "NUMA", yes, &Block{Name: "numa", Fields: []Field{
			attr("affinity", "Affinity", String, yes, "none", "none, prefer or require").only("none"),
			attr("devices", "Devices", Strings, notYet, nil, "devices that must be near"),
		}}, "memory locality"),
	}}
}

func logsBlock() *Block {
	return &Block{Name: "logs", Fields: []Field{
		attr("max_files", "MaxFiles", Int, yes, int64(10), "files kept per stream"),
		attr("max_file_size", "MaxFileSizeMB", Int, yes, int64(10), "MB per file"),
		attr("disabled", "Disabled", Bool, yes, nil, "keep nothing"),
		attr("enabled", "Enabled", Bool, yes, nil, "deprecated: disabled"),
	}}
}

func volumeMountBlock() *Block {
	return &Block{Name: "volume_mount", Fields: []Field{
		attr("volume", "Volume", String, yes, nil, "name of the group's volume"),
		attr("destination", "Destination", String, yes, nil, "path in the task"),
		attr("read_only", "ReadOnly", Bool, yes, nil, "no writes"),
		attr("propagation_mode", "PropagationMode", String, yes, "private", "private, host-to-task or bidirectional"),
		attr("selinux_label", "SELinuxLabel", String, yes, nil, "empty, z or Z"),
	}}
}

func csiPluginBlock() *Block {
	return &Block{Name: "csi_plugin", Fields: []Field{
		attr("id", "ID", String, yes, nil, "name of the storage plugin"),
		attr("type", "Type", String, yes, nil, "node, controller or monolith"),
		attr("mount_dir", "MountDir", String, yes, "/csi", "where its socket is made"),
		attr("stage_publish_base_dir", "StagePublishBaseDir", String, yes, "/local/csi", "where volumes are staged"),
		attr("health_timeout", "HealthTimeout", Duration, yes, ns(30*time.Second), "to become healthy"),
	}}
}

func artifactBlock() *Block {
	return &Block{Name: "artifact", Fields: []Field{
		attr("source", "GetterSource", String, yes, nil, "URL"),
		attr("options", "GetterOptions", StringMap, yes, nil, "options of the download, such as checksum"),
		attr("headers", "GetterHeaders", StringMap, yes, nil, "HTTP headers"),
		attr("mode", "GetterMode", String, yes, "any", "any, file or dir"),
		attr("insecure", "GetterInsecure", Bool, yes, nil, "skip TLS verification"),
		attr("destination", "RelativeDest", String, yes, nil, "directory, local/ unless set"),
		attr("chown", "Chown", Bool, yes, nil, "give it to the task's user"),
	}}
}

func templateBlock() *Block {
	return &Block{Name: "template", Fields: []Field{
		attr("source", "SourcePath", String, yes, nil, "file with the template"),
		attr("destination", "DestPath", String, yes, nil, "file to write"),
		attr("data", "EmbeddedTmpl", String, yes, nil, "the template itself"),
		attr("change_mode", "ChangeMode", String, yes, "restart", "noop, restart, signal or script"),
		attr("change_signal", "ChangeSignal", String, yes, nil, "signal of change_mode signal"),
		block("change_script", "ChangeScript", yes, &Block{Name: "change_script", Fields: []Field{
			attr("command", "Command", String, yes, nil, "program"),
			attr("args", "Args", Strings, yes, nil, "its arguments"),
			attr("timeout", "Timeout", Duration, yes, ns(5*time.Second), "longest run"),
			attr("fail_on_error", "FailOnError", Bool, yes, nil, "end the task when it fails").required(),
			attr("run_on_first_render", "RunOnFirstRender", Bool, yes, nil, "run at start too"),
		}}, "program of change_mode script"),
		attr("splay", "Splay", Duration, yes, ns(5*time.Second), "random wait before acting"),
		attr("perms", "Perms", String, yes, "0644", "file mode, octal"),
		attr("uid", "Uid", Int, yes, nil, "owner"),
		attr("gid", "Gid", Int, yes, nil, "group"),
		attr("left_delimiter", "LeftDelim", String, yes, "{{", "opening delimiter"),
		attr("right_delimiter", "RightDelim", String, yes, "}}", "closing delimiter"),
		attr("env", "Envvars", Bool, yes, nil, "the output is KEY=value lines for the environment"),
		attr("once", "Once", Bool, yes, nil, "render once"),
		block("wait", "Wait", yes, &Block{Name: "wait", Fields: []Field{
			attr("min", "Min", Duration, yes, nil, "shortest quiet time").required(),
			attr("max", "Max", Duration, yes, nil, "longest wait").required(),
		}}, "quiet time before rendering"),
		attr("error_on_missing_key", "ErrMissingKey", Bool, yes, nil, "a missing key is an error"),
		attr("vault_grace", "VaultGrace", Duration, yes, nil, "deprecated, without effect"),
	}}
}

func vaultBlock() *Block {
	return &Block{Name: "vault", Fields: []Field{
		attr("role", "Role", String, yes, nil, "role to log in with"),
		attr("namespace", "Namespace", String, yes, nil, "Vault namespace"),
		attr("cluster", "Cluster", String, yes, "default", "Vault cluster"),
		attr("env", "Env", Bool, yes, true, "put the token into the environment"),
		attr("disable_file", "DisableFile", Bool, yes, nil, "write no token file"),
		attr("change_mode", "ChangeMode", String, yes, "restart", "noop, restart or signal"),
		attr("change_signal", "ChangeSignal", String, yes, nil, "signal of change_mode signal"),
		attr("allow_token_expiration", "AllowTokenExpiration", Bool, yes, nil, "do not renew"),
		attr("policies", "Policies", Strings, yes, nil, "legacy, without effect"),
	}}
}

func consulBlock() *Block {
	return &Block{Name: "consul", Fields: []Field{
		attr("namespace", "Namespace", String, notYet, nil, "Consul namespace"),
		attr("partition", "Partition", String, notYet, nil, "Consul partition"),
		attr("cluster", "Cluster", String, yes, "default", "Consul cluster").only("default"),
	}}
}

func secretBlock() *Block {
	return &Block{Name: "secret", Fields: []Field{
		attr("", "Name", String, yes, nil, "name of the secret"),
		attr("provider", "Provider", String, yes, nil, "who keeps it"),
		attr("path", "Path", String, yes, nil, "where it is"),
		attr("config", "Config", Free, yes, nil, "settings of the provider"),
		attr("env", "Env", StringMap, yes, nil, "environment of a plugin provider"),
	}}
}

func identityBlock() *Block {
	return &Block{Name: "identity", Fields: []Field{
		attr("name", "Name", String, yes, "default", "name of the identity"),
		attr("aud", "Audience", Strings, yes, nil, "who should accept it"),
		attr("env", "Env", Bool, notYet, nil, "put it into the environment"),
		attr("file", "File", Bool, notYet, nil, "write it to a file"),
		attr("filepath", "Filepath", String, notYet, nil, "name of that file"),
		attr("ttl", "TTL", Duration, notYet, nil, "life time; 0 is for ever"),
		attr("change_mode", "ChangeMode", String, notYet, nil, "noop, restart or signal"),
		attr("change_signal", "ChangeSignal", String, notYet, nil, "signal of change_mode signal"),
		attr("service_name", "ServiceName", String, yes, nil, "filled by the servers"),
		attr("extra_claims", "ExtraClaims", Strings, notYet, nil, "further claims by name"),
	}}
}
