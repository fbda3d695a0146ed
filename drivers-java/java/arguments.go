package java

import (
	"fmt"

	"github.com/droverhq/drover/sdk/driver"
)

// arguments is the JVM's complete argument vector. limits come first, so that
// the job's own options win over them.
func arguments(limits []string, c *taskConfig) []string {
	args := append([]string{"java"}, limits...)
	args = append(args, c.JVMOptions...)
	if c.ClassPath != "" {
		args = append(args, "-cp", c.ClassPath)
	}
	if c.JarPath != "" {
		args = append(args, "-jar", c.JarPath)
	}
	if c.Class != "" {
		args = append(args, c.Class)
	}
	return append(args, c.Args...)
}

// memoryOptions tell the JVM how much memory there is for it; without them it
// would size its heap by the machine. The JVM could read the limit from its
// cgroup, but with version 2 only where it sees the tree of all of the
// machine's cgroups, and without isolation there is no limit to read. A job
// overrules this with -Xmx, or by a part of the limit with
// -XX:MaxRAMPercentage.
func memoryOptions(j *jvm, r *driver.Resources) []string {
	limit := r.MemoryMB
	if r.MemoryMaxMB != 0 {
		limit = r.MemoryMaxMB
	}
	if limit <= 0 || !j.MaxRAM {
		return nil
	}
	return []string{fmt.Sprintf("-XX:MaxRAM=%dm", limit)}
}
