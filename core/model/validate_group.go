package model

import (
	"strings"
)

func (c *checker) checkGroup(w where, g *TaskGroup) {
	atLeast(c, w, "count", g.Count, 0)
	if c.job.Type == JobTypeSystem && g.Count > 1 {
		c.fail(w, "count must be at most 1 in a system job, which runs once on each node; got %d", g.Count)
	}
	c.placementRules(w, g.Constraints, g.Affinities, g.Spreads)
	c.checkRestart(w.in("restart"), g.RestartPolicy)
	c.checkReschedule(w.in("reschedule"), g.ReschedulePolicy)
	c.checkDisconnect(w.in("disconnect"), g.Disconnect)
	c.checkMigrate(w.in("migrate"), g.Migrate)
	c.checkScaling(w.in("scaling"), g.Scaling, g.Count)
	c.groupUpdate(w.in("update"), g)
	c.checkDisk(w.in("ephemeral_disk"), g)
	atLeast(c, w, "shutdown_delay", g.ShutdownDelay, 0)
	if g.MaxRunDuration != 0 && !c.isBatch() {
		c.fail(w, "max_run_duration is for batch and sysbatch jobs, this is a %s job", c.job.Type)
	}
	atLeast(c, w, "max_run_duration", g.MaxRunDuration, 0)
	c.checkNetworks(w, g)
	c.checkVolumes(w, g)
	c.checkServices(w, g)
	c.deprecated(w, g)
	c.checkTasks(w, g)
}

func (c *checker) groupUpdate(w where, g *TaskGroup) {
	u := g.Update
	if u == nil {
		return
	}
	if c.job.Type != JobTypeService && c.job.Type != JobTypeSystem {
		c.fail(w, "a %s job has no update block", c.job.Type)
		return
	}
	if !same(u, c.job.Update) || u.AutoPromote { // else reported where it is written
		c.checkUpdate(w, u, true)
	}
	if g.Count > 1 && u.MaxParallel > g.Count {
		c.warn(w, "max_parallel (%d) is more than count (%d): all instances are replaced at once", u.MaxParallel, g.Count)
	}
	if u.AutoPromote {
		for _, other := range c.job.TaskGroups {
			if other.Update != nil && other.Update.Canary > 0 && !other.Update.AutoPromote {
				c.warn(w, "auto_promote waits for a person, because group %q has canaries without auto_promote", other.Name)
			}
		}
	}
}

func (c *checker) checkDisk(w where, g *TaskGroup) {
	if g.EphemeralDisk == nil {
		c.fail(w, "the ephemeral disk is missing")
		return
	}
	size := g.EphemeralDisk.SizeMB
	c.atMost(w, "size", size, maxAmount)
	if size < 10 {
		c.fail(w, "size must be at least 10 MB, got %d", size)
	}
	sum := 0
	for _, t := range g.Tasks {
		if t.LogConfig == nil || t.LogConfig.Disabled {
			continue
		}
		logs := t.LogConfig.MaxFiles * t.LogConfig.MaxFileSizeMB
		if logs >= size {
			c.fail(w, "size (%d MB) must be more than the logs of task %q can take (%d files of %d MB)", size, t.Name,
				t.LogConfig.MaxFiles, t.LogConfig.MaxFileSizeMB)
		}
		sum += logs
	}
	if sum > size && len(g.Tasks) > 1 {
		c.warn(w, "the logs of all tasks may take %d MB, more than size (%d MB)", sum, size)
	}
}

func (c *checker) deprecated(w where, g *TaskGroup) {
	if g.StopAfterClientDisconnect != 0 {
		c.warn(w, "stop_after_client_disconnect has no effect any more; use disconnect { stop_on_client_after }")
	}
	if g.MaxClientDisconnect != 0 {
		c.warn(w, "max_client_disconnect has no effect any more; use disconnect { lost_after }")
	}
	if g.PreventRescheduleOnLost {
		c.warn(w, "prevent_reschedule_on_lost has no effect any more; use disconnect { replace }")
	}
}

func (c *checker) checkTasks(w where, g *TaskGroup) {
	if len(g.Tasks) == 0 {
		c.fail(w, "the group has no task")
		return
	}
	seen := map[string]bool{}
	mains, leaders := 0, 0
	for _, t := range g.Tasks {
		tw := w.in("task", t.Name)
		switch {
		case t.Name == "":
			c.fail(tw, "the task has no name")
		case t.Name == "alloc":
			c.fail(tw, "the name is taken by the shared directory")
		case strings.ContainsAny(t.Name, "/\\"):
			c.fail(tw, "the name must hold no slash and no backslash")
		case strings.HasPrefix(t.Name, "."):
			c.fail(tw, "the name must not begin with a dot: the task's directory has it")
		case !c.printable(tw, "name", t.Name, maxName):
		case seen[t.Name]:
			c.fail(tw, "there is another task of that name in the group")
		}
		seen[t.Name] = true
		if t.Lifecycle == nil {
			mains++
		}
		if t.Leader {
			leaders++
		}
		c.checkTask(tw, g, t)
	}
	if mains == 0 {
		c.fail(w, "every task has a lifecycle block; at least one must be a main task without it")
	}
	if leaders > 1 {
		c.fail(w, "%d tasks are leader, at most one can be", leaders)
	}
}
