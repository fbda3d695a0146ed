// Package pluginhost finds, verifies, launches, supervises and replaces plugins. The rest of the agent sees facades on
// task drivers and snapshots of what there is; it never sees a process.
//
// # The way of a plugin
//
//	plugin_dir/x      discovery.Scan: may this file be trusted?
//	                  store.Put: copy to plugin-store/<sha256>/x; from here on only the copy counts
//	generation        one copy with one configuration, a lifecycle.Generation and the goroutine that obeys it
//	session           one process of a generation: launched or reattached, configured, streams open
//	Driver            the facade on a session; dead for good when its Done is closed
//
// A family is everything that goes by one file name in plugin_dir: usually one generation, two while a changed file
// takes over. All decisions about when to launch, wait, show unhealthy, drain and retire are made by package lifecycle.
//
// # What survives what
//
// Plugins run in sessions of their own and hold their own stdout and stderr (FIFOs that they open for reading too and
// that the log collector empties), so the death of the agent, or of the collector, closes nothing. A record per
// generation lets the next agent find the process: by pid, start time and boot id, and only if the socket's other end is
// that very process. A process that cannot be reached again is ended and launched anew; tasks are recovered by the node.
package pluginhost
