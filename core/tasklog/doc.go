// Package tasklog collects what tasks and plugins print. One collector process per node (the hidden verb "drover logs")
// reads the FIFOs that are the tasks' stdout and stderr, writes rotated files, and outlives the agent, the plugins and
// its own death: whatever it held is still in the pipes when it is killed, because it moves bytes from pipe to file with
// splice(2), one system call in which a byte is either still in the pipe or already in the file. The size of the file is
// the only record of how far it came, so there is nothing that could disagree with it after a kill. A byte reaches its file
// within 10 ms, unless the machine is overloaded.
//
// On Windows the FIFOs are named pipes and the socket is one too. Their bytes pass through the collector's memory: a kill
// loses what it had read and not yet written. The pipes themselves survive it, because the agent's process holds a second
// handle of each reading end, which the next collector takes back. The agent and the collector killed together break them.
//
// The package has three sides:
//
//   - [Main] is the collector process.
//   - [Client] launches or finds the collector, relaunches it when it dies and speaks to it; the agent holds one.
//   - [Reader] and [TailFile] read the files for the API; they need no collector.
//
// # Files
//
// A stream writes to Dir/Prefix.N, N from 0 growing; the highest is the newest and the only one written to. Once more
// than MaxFiles exist the oldest is removed. No file outgrows MaxFileSize, and no line of up to 32 KiB (or half of
// MaxFileSize, if that is less) is split between two files. A new file begins only when there is a byte for it. After any
// restart of any process the newest file is continued.
//
// When a file cannot be written (disk full), the bytes stay in the pipe and the task's writes wait. After 5 s they are
// dropped, so that a full disk does not stop the task; when writing works again the file gets a line of its own,
// "[drover: N bytes dropped: disk full]", and the client an event. N is kept in memory only: a collector that is killed
// while the disk is full forgets what its predecessor dropped.
//
// # Socket protocol, version 1
//
// The collector listens on a unix stream socket in a directory of mode 0700 and serves peers of its own user or root
// (SO_PEERCRED). Every message, in both directions, is a frame:
//
//	4 bytes  length H of the header, big endian; at most 64 KiB from a client
//	4 bytes  length P of the payload, big endian; at most 256 KiB
//	H bytes  header: one JSON object
//	P bytes  payload: raw log bytes of an append, otherwise empty
//
// A request carries "seq" (a number of the sender's choice, returned in the reply) and "op". Requests of one connection
// are taken in order; the reply to close may come after replies to later requests. A reply carries "seq" and, if the
// request failed, "error" (text) and "class" (not_found, conflict, disk_full, dropped, invalid, version, internal).
//
//	op      request fields                              reply fields        promise
//	hello   version, events (send me events)            version, pid        first request of each connection
//	open    stream                                                          idempotent; conflict if the id is open elsewhere
//	update  id, limits                                                      takes effect at once
//	close   id                                          bytes (dropped)     when answered, the last byte is in the file and
//	                                                                        the FIFO is gone; an unknown id is no error
//	list                                                streams
//	append  id, cursor; payload                                             all or nothing, see below
//	cursor  id                                          cursor
//	retire                                              pid                 the process ends, the next one goes on
//	bye                                                                     ends the process if it holds no stream and has
//	                                                                        no other client
//
// A frame with "event" and no "seq" is an [Event]. Field names and types are those of the JSON of [Stream], [Limits],
// [StreamInfo] and [Event].
//
// Append is for runtimes that keep their own log: the plugin follows that log, appends what it read together with a
// cursor (an opaque text of at most 1 KiB: how far it came), and after a restart of either side goes on from the cursor
// that "cursor" returns. Bytes and cursor are stored as one: a collector that was killed in between takes the bytes out
// again. A reply that was lost is no problem either: an append whose cursor is not empty and equal to the stored one
// is a repeat and is answered without writing, so cursors must differ from one append to the next. disk_full means that
// nothing was stored; the sender tries again later. Bytes of a FIFO and appends may be mixed in one stream.
package tasklog
