package jobspec

func groupBlock() *Block {
	return &Block{Name: "group", fold: foldGroup, Fields: []Field{
		attr("", "Name", String, yes, nil, "name of the group, the block's label"),
		attr("count", "Count", Int, yes, nil, "instances; 1, or scaling.min, unless set"),
		blocks("constraint", "Constraints", yes, constraintBlock(), "what a node must offer"),
		blocks("affinity", "Affinities", yes, affinityBlock(), "what a node should offer"),
		blocks("spread", "Spreads", yes, spreadBlock(), "attribute to distribute instances over"),
		blocks("task", "Tasks", yes, taskBlock(), "one workload").labelled("Name"),
		block("restart", "RestartPolicy", yes, restartBlock(), "restarts on the node").present(allTypes...),
		block("reschedule", "ReschedulePolicy", yes, rescheduleBlock(), "replacement of failed instances").
			present("service", "batch"),
		block("disconnect", "Disconnect", yes, disconnectBlock(), "what happens when the node cannot be reached"),
		block("update", "Update", yes, updateBlock(), "rolling update strategy").present("service", "system"),
		block("migrate", "Migrate", yes, migrateBlock(), "drain pace").present("service"),
		block("ephemeral_disk", "EphemeralDisk", yes, &Block{Name: "ephemeral_disk", Fields: []Field{
			attr("size", "SizeMB", Int, yes, int64(300), "MB"),
			attr("sticky", "Sticky", Bool, yes, nil, "prefer the same node on updates"),
			attr("migrate", "Migrate", Bool, yes, nil, "copy the data when moved"),
		}}, "disk of an instance").present(allTypes...),
		blocks("network", "Networks", yes, networkBlock(), "network and ports"),
		blocks("service", "Services", yes, serviceBlock(), "names under which the group is found"),
		blocks("volume", "Volumes", notYet, volumeBlock(), "claim on a volume").keyed("Name"),
		attr("meta", "Meta", StringMap, yes, nil, "values handed to the group's tasks"),
		block("scaling", "Scaling", yes, scalingBlock(), "bounds for scaling"),
		block("consul", "Consul", yes, consulBlock(), "Consul cluster and namespace"),
		block("vault", "", yes, vaultBlock(), "default for tasks without a vault block"),
		blocks("secret", "", yes, secretBlock(), "secrets of tasks that have none").labelled("Name"),
		attr("shutdown_delay", "ShutdownDelay", Duration, yes, nil, "wait between deregistration and kill"),
		attr("max_run_duration", "MaxRunDuration", Duration, yes, nil, "deadline of a batch instance"),
		attr("stop_after_client_disconnect", "StopAfterClientDisconnect", Duration, yes, nil, "ignored: disconnect"),
		attr("max_client_disconnect", "MaxClientDisconnect", Duration, yes, nil, "ignored: disconnect"),
		attr("prevent_reschedule_on_lost", "PreventRescheduleOnLost", Bool, yes, nil, "ignored: disconnect"),
	}}
}

func networkBlock() *Block {
	port := portBlock()
	return &Block{Name: "network", fold: foldNetwork, Fields: []Field{
		attr("mode", "Mode", String, yes, "host", "host, bridge, none, cni/<network>"),
		attr("device", "Device", String, yes, nil, "unused"),
		attr("cidr", "CIDR", String, yes, nil, "unused"),
		attr("ip", "IP", String, yes, nil, "unused"),
		attr("mbits", "MBits", Int, yes, nil, "deprecated, without effect"),
		attr("hostname", "Hostname", String, yes, nil, "host name inside the network"),
		block("dns", "DNS", yes, &Block{Name: "dns", Fields: []Field{
			attr("servers", "Servers", Strings, yes, nil, "name servers"),
			attr("searches", "Searches", Strings, yes, nil, "search domains"),
			attr("options", "Options", Strings, yes, nil, "resolver options"),
		}}, "resolv.conf of isolated networks"),
		block("cni", "CNI", yes, &Block{Name: "cni", Fields: []Field{
			attr("args", "Args", StringMap, yes, nil, "arguments for the CNI plugins"),
		}}, "arguments of a CNI network"),
		blocks("port", "", yes, port, "a port, dynamic unless static is set").labelled("Label"),
		blocks("", "DynamicPorts", yes, port, "ports chosen by the scheduler"),
		blocks("", "ReservedPorts", yes, port, "ports with a fixed number"),
	}}
}

func portBlock() *Block {
	return &Block{Name: "port", Fields: []Field{
		attr("", "Label", String, yes, nil, "name of the port"),
		attr("static", "Value", Int, yes, nil, "fixed number on the host"),
		attr("to", "To", Int, yes, nil, "number inside the network; -1 is the host's"),
		attr("host_network", "HostNetwork", String, yes, "default", "address pool of the node"),
		attr("ignore_collision", "IgnoreCollision", Bool, yes, nil, "may be used by several instances"),
	}}
}

func volumeBlock() *Block {
	return &Block{Name: "volume", Fields: []Field{
		attr("", "Name", String, yes, nil, "name inside the group"),
		attr("type", "Type", String, yes, nil, "host or csi").only("host"),
		attr("source", "Source", String, yes, nil, "host volume name or CSI volume ID"),
		attr("read_only", "ReadOnly", Bool, yes, nil, "no writes"),
		attr("sticky", "Sticky", Bool, yes, nil, "keep the same volume for an instance"),
		attr("per_alloc", "PerAlloc", Bool, yes, nil, "one volume per instance: [index] is appended to source"),
		attr("access_mode", "AccessMode", String, yes, nil, "who may read and write at once"),
		attr("attachment_mode", "AttachmentMode", String, yes, nil, "file-system or block-device"),
		block("mount_options", "MountOptions", yes, &Block{Name: "mount_options", Fields: []Field{
			attr("fs_type", "FSType", String, yes, nil, "file system"),
			attr("mount_flags", "MountFlags", Strings, yes, nil, "mount options"),
		}}, "how a CSI volume is mounted"),
	}}
}

func scalingBlock() *Block {
	return &Block{Name: "scaling", Fields: []Field{
		attr("", "ID", String, yes, nil, "kept across versions"),
		attr("type", "Type", String, yes, "horizontal", "horizontal").only("horizontal"),
		attr("min", "Min", Int, yes, nil, "lowest count; the group's count unless set"),
		attr("max", "Max", Int, yes, nil, "highest count").required(),
		attr("enabled", "Enabled", Bool, yes, true, "whether an autoscaler may act"),
		attr("policy", "Policy", Free, yes, nil, "for the autoscaler"),
		attr("", "Target", StringMap, yes, nil, "filled by the servers"),
	}}
}
