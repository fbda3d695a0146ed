package jobspec

import (
	"sync"
	"time"
)

// grammar returns the whole grammar, beginning with the job block. It is shared and must not be changed.
var grammar = sync.OnceValue(jobBlock)

// ns writes a duration as the tree holds it.
func ns(d time.Duration) int64 { return int64(d) }

func jobBlock() *Block {
	update := updateBlock()
	return &Block{Name: "job", fold: foldJob, Fields: []Field{
		attr("id", "ID", String, yes, nil, "unique name in its namespace; the block's label unless set"),
		attr("name", "Name", String, yes, nil, "name shown to people; the ID unless set"),
		attr("region", "Region", String, yes, "global", "region that runs the job"),
		attr("namespace", "Namespace", String, yes, "default", "namespace the job belongs to"),
		attr("type", "Type", String, yes, "service", "service, batch, system or sysbatch"),
		attr("priority", "Priority", Int, yes, int64(50), "1..100; higher is placed first"),
		attr("all_at_once", "AllAtOnce", Bool, yes, nil, "place everything in one plan or nothing"),
		attr("datacenters", "Datacenters", Strings, yes, []any{"*"}, "datacenters to run in; * matches any text"),
		attr("node_pool", "NodePool", String, yes, "default", "pool of nodes to run on; all means every node"),
		attr("meta", "Meta", StringMap, yes, nil, "values handed to all tasks"),
		blocks("constraint", "Constraints", yes, constraintBlock(), "what a node must offer"),
		blocks("affinity", "Affinities", yes, affinityBlock(), "what a node should offer"),
		blocks("spread", "Spreads", yes, spreadBlock(), "attribute to distribute instances over"),
		block("update", "Update", yes, update, "rolling update strategy of all groups").present("service", "system"),
		block("reschedule", "Reschedule", yes, rescheduleBlock(), "reschedule policy of all groups"),
		block("migrate", "Migrate", yes, migrateBlock(), "drain pace of all groups"),
		block("periodic", "Periodic", yes, periodicBlock(), "launch by the clock"),
		block("parameterized", "ParameterizedJob", yes, parameterizedBlock(), "launch on dispatch"),
		block("multiregion", "Multiregion", notYet, multiregionBlock(), "roll out over several regions"),
		block("ui", "UI", yes, uiBlock(), "description and links on the job's web page"),
		block("vault", "", yes, vaultBlock(), "default for tasks without a vault block"),
		blocks("secret", "", yes, secretBlock(), "secrets added to every task").labelled("Name"),
		blocks("group", "TaskGroups", yes, groupBlock(), "tasks placed together").labelled("Name"),
		blocks("task", "", yes, taskBlock(), "a group of one task with the task's name").labelled("Name"),

		attr("", "Stop", Bool, yes, nil, "registered as stopped"),
		attr("", "ParentID", String, yes, nil, "job that launched this one"),
		attr("", "Dispatched", Bool, yes, nil, "made by a dispatch"),
		attr("", "DispatchIdempotencyToken", String, yes, nil, "token of the dispatch"),
		attr("", "Payload", Bytes, yes, nil, "payload of the dispatch"),
		attr("", "ConsulNamespace", String, notYet, nil, "Consul namespace of the submitter"),
		attr("", "VaultNamespace", String, notYet, nil, "Vault namespace of the submitter"),
		attr("", "NomadTokenID", String, yes, nil, "accessor of the submitter's token"),
	}}
}

func periodicBlock() *Block {
	return &Block{Name: "periodic", Fields: []Field{
		attr("enabled", "Enabled", Bool, yes, true, "false suspends launches"),
		attr("cron", "Spec", String, yes, nil, "one cron expression (deprecated: crons)"),
		attr("crons", "Specs", Strings, yes, nil, "cron expressions; the next of any fires"),
		attr("", "SpecType", String, yes, "cron", "kind of expression"),
		attr("prohibit_overlap", "ProhibitOverlap", Bool, yes, nil, "skip a launch while the last one runs"),
		attr("time_zone", "TimeZone", String, yes, "UTC", "IANA zone of the expressions"),
	}}
}

func parameterizedBlock() *Block {
	return &Block{Name: "parameterized", Fields: []Field{
		attr("payload", "Payload", String, yes, "optional", "optional, required or forbidden"),
		attr("meta_required", "MetaRequired", Strings, yes, nil, "meta keys a dispatch must give"),
		attr("meta_optional", "MetaOptional", Strings, yes, nil, "meta keys a dispatch may give"),
	}}
}

func multiregionBlock() *Block {
	return &Block{Name: "multiregion", Fields: []Field{
		block("strategy", "Strategy", yes, &Block{Name: "strategy", Fields: []Field{
			attr("max_parallel", "MaxParallel", Int, yes, nil, "regions at a time"),
			attr("on_failure", "OnFailure", String, yes, nil, "empty, fail_local or fail_all"),
		}}, "order of the roll-out"),
		blocks("region", "Regions", yes, &Block{Name: "region", Fields: []Field{
			attr("", "Name", String, yes, nil, "name of the region"),
			attr("count", "Count", Int, yes, nil, "count of groups that have none"),
			attr("datacenters", "Datacenters", Strings, yes, nil, "datacenters in that region"),
			attr("node_pool", "NodePool", String, yes, nil, "pool in that region"),
			attr("meta", "Meta", StringMap, yes, nil, "meta in that region"),
		}}, "one region").labelled("Name"),
	}}
}

func uiBlock() *Block {
	return &Block{Name: "ui", Fields: []Field{
		attr("description", "Description", String, yes, nil, "markdown, at most 1000 characters"),
		blocks("link", "Links", yes, &Block{Name: "link", Fields: []Field{
			attr("label", "Label", String, yes, nil, "text of the link"),
			attr("url", "URL", String, yes, nil, "where it leads"),
		}}, "link on the job's page"),
	}}
}
