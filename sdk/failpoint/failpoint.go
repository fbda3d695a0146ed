// Package failpoint ends a plugin's process at named points, as SIGKILL does, so that tests can show what survives that.
//
// It does so only in binaries built with the tag failpoint; in all others, which is in every released one, its functions
// are empty. A driver marks a point of its own with
//
//	failpoint.Here("StopTask.middle") // the signal is sent, the task still runs
//
// and the SDK has these of its own, for each call of the contract by its name:
//
//   - NAME.before: the call has arrived and nothing has been done.
//   - NAME.after: everything is done and the answer, or the last message of a stream, is not sent. Of a stream without
//     a last message it is each one.
//   - NAME.middle, for streams: the first message is sent.
//   - WaitTask.middle: the wait has begun.
//
// In a binary with the tag, the environment variable DROVER_FAILPOINTS names a directory. A file there with a point's
// name arms it: the process that comes by removes the file, writes one named hit.POINT, and dies. Each arming so ends
// one process.
package failpoint

// Variable is the environment variable that names the directory.
const Variable = "DROVER_FAILPOINTS"
