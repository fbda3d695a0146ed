// Package keeper is the process that tasks belong to, and the client that
// drivers reach it with.
//
// One keeper runs per node and driver: the driver's own binary, started again
// with the word "keep", in a session of its own. It forks tasks, reaps them,
// writes down how they ended, and holds what must not close while a task
// lives: pidfds and standard files. It decides nothing. Everything else about
// a task (limits, stopping, statistics) is the plugin's, so that the plugin
// can be killed, upgraded or removed while tasks run, and so that the keeper
// hardly ever has to change.
//
// What survives what:
//
//   - The plugin dies: nothing happens here. Exits are recorded on disk and
//     told to the next client.
//   - The keeper is to be upgraded: it hands its state to a new program by
//     execve, keeping its pid, so tasks stay its children.
//   - The keeper is killed: tasks run on. The next keeper finds their records
//     in the directory and adopts those that are still the same process.
//
// The keeper ends itself when it has no client and holds nothing.
package keeper

// Verb is the first argument of a driver binary that is to be a keeper.
const Verb = "keep"
