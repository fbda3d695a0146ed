package jobspec

import "time"

func constraintBlock() *Block {
	return &Block{Name: "constraint", fold: foldConstraint, Fields: []Field{
		attr("attribute", "LTarget", String, yes, nil, "what to look at, such as ${attr.kernel.name}"),
		attr("operator", "Operand", String, yes, "=", "how to compare"),
		attr("value", "RTarget", String, yes, nil, "what to compare with"),
		attr("version", "", String, yes, nil, "short for operator version"),
		attr("semver", "", String, yes, nil, "short for operator semver"),
		attr("regexp", "", String, yes, nil, "short for operator regexp"),
		attr("set_contains", "", String, yes, nil, "short for operator set_contains"),
		attr("set_contains_all", "", String, yes, nil, "short for operator set_contains_all"),
		attr("set_contains_any", "", String, yes, nil, "short for operator set_contains_any"),
		attr("is_set", "", Bool, yes, nil, "short for operator is_set"),
		attr("is_not_set", "", Bool, yes, nil, "short for operator is_not_set"),
		attr("distinct_hosts", "", Bool, yes, nil, "no two instances on one node"),
		attr("distinct_property", "", String, yes, nil, "attribute that instances must differ in"),
	}}
}

func affinityBlock() *Block {
	return &Block{Name: "affinity", fold: foldAffinity, Fields: []Field{
		attr("attribute", "LTarget", String, yes, nil, "what to look at"),
		attr("operator", "Operand", String, yes, "=", "how to compare"),
		attr("value", "RTarget", String, yes, nil, "what to compare with"),
		attr("weight", "Weight", Int, yes, int64(50), "-100..100; negative avoids").within(-100, 100),
		attr("version", "", String, yes, nil, "short for operator version"),
		attr("semver", "", String, yes, nil, "short for operator semver"),
		attr("regexp", "", String, yes, nil, "short for operator regexp"),
		attr("set_contains", "", String, yes, nil, "short for operator set_contains"),
		attr("set_contains_all", "", String, yes, nil, "short for operator set_contains_all"),
		attr("set_contains_any", "", String, yes, nil, "short for operator set_contains_any"),
	}}
}

func spreadBlock() *Block {
	return &Block{Name: "spread", Fields: []Field{
		attr("attribute", "Attribute", String, yes, nil, "attribute to distribute over"),
		attr("weight", "Weight", Int, yes, int64(50), "1..100").within(1, 100),
		blocks("target", "SpreadTarget", yes, &Block{Name: "target", Fields: []Field{
			attr("", "Value", String, yes, nil, "value of the attribute"),
			attr("percent", "Percent", Int, yes, nil, "share of the instances").within(0, 100),
		}}, "share of one value").labelled("Value"),
	}}
}

func updateBlock() *Block {
	return &Block{Name: "update", Fields: []Field{
		attr("stagger", "Stagger", Duration, yes, ns(30*time.Second), "legacy pause between batches"),
		attr("max_parallel", "MaxParallel", Int, yes, int64(1), "instances at a time; 0 updates all at once"),
		attr("health_check", "HealthCheck", String, yes, "checks", "checks, task_states or manual"),
		attr("min_healthy_time", "MinHealthyTime", Duration, yes, ns(10*time.Second), "health must last so long"),
		attr("healthy_deadline", "HealthyDeadline", Duration, yes, ns(5*time.Minute), "to become healthy"),
		attr("progress_deadline", "ProgressDeadline", Duration, yes, ns(10*time.Minute), "between healthy instances"),
		attr("auto_revert", "AutoRevert", Bool, yes, nil, "go back when it fails"),
		attr("auto_promote", "AutoPromote", Bool, yes, nil, "go on when all canaries are healthy"),
		attr("canary", "Canary", Int, yes, nil, "instances to try first"),
		attr("on_deadline", "OnDeadline", String, yes, nil, "fail, revert or keep_trying at the progress deadline"),
		attr("max_surge", "MaxSurge", Int, yes, nil, "instances beyond count while updating"),
	}}
}

func restartBlock() *Block {
	return &Block{Name: "restart", Fields: []Field{
		attr("attempts", "Attempts", Int, yes, byType{"service": int64(2), "system": int64(2), "batch": int64(3),
			"sysbatch": int64(3)}, "restarts per interval"),
		attr("interval", "Interval", Duration, yes, byType{"service": ns(30 * time.Minute),
			"system": ns(30 * time.Minute), "batch": ns(24 * time.Hour), "sysbatch": ns(24 * time.Hour)},
			"window in which attempts count"),
		attr("delay", "Delay", Duration, yes, ns(15*time.Second), "pause before a restart"),
		attr("mode", "Mode", String, yes, "fail", "fail gives up, delay waits for the next interval"),
		attr("render_templates", "RenderTemplates", Bool, yes, nil, "render templates again on restart"),
	}}
}

func rescheduleBlock() *Block {
	return &Block{Name: "reschedule", Fields: []Field{
		attr("attempts", "Attempts", Int, yes, byType{"batch": int64(1)}, "replacements per interval"),
		attr("interval", "Interval", Duration, yes, byType{"batch": ns(24 * time.Hour)}, "window in which attempts count"),
		attr("delay", "Delay", Duration, yes, byType{"service": ns(30 * time.Second), "batch": ns(5 * time.Second)},
			"pause before the first replacement"),
		attr("delay_function", "DelayFunction", String, yes, byType{"service": "exponential", "batch": "constant"},
			"constant, exponential or fibonacci"),
		attr("max_delay", "MaxDelay", Duration, yes, byType{"service": ns(time.Hour)}, "longest pause"),
		attr("unlimited", "Unlimited", Bool, yes, byType{"service": true}, "never give up"),
	}}
}

func migrateBlock() *Block {
	return &Block{Name: "migrate", Fields: []Field{
		attr("max_parallel", "MaxParallel", Int, yes, int64(1), "instances moved at a time"),
		attr("health_check", "HealthCheck", String, yes, "checks", "checks or task_states"),
		attr("min_healthy_time", "MinHealthyTime", Duration, yes, ns(10*time.Second), "health must last so long"),
		attr("healthy_deadline", "HealthyDeadline", Duration, yes, ns(5*time.Minute), "to become healthy"),
	}}
}

func disconnectBlock() *Block {
	return &Block{Name: "disconnect", Fields: []Field{
		attr("lost_after", "LostAfter", Duration, yes, nil, "unknown instances are lost after so long"),
		attr("stop_on_client_after", "StopOnClientAfter", Duration, yes, nil, "the node stops them itself"),
		attr("replace", "Replace", Bool, yes, true, "replace while disconnected"),
		attr("reconcile", "Reconcile", String, yes, "best_score", "which one stays after reconnecting"),
	}}
}
