package tasklog

import "bytes"

// lineWindow is how far before a file's limit its line ends begin to matter, and so the longest line that is never split.
const lineWindow = 32 << 10

// step is what to do next with a stream that has bytes waiting.
type step uint8

const (
	move   step = iota // n bytes may go to the file unseen
	look               // see up to n bytes first, then ask cutSeen
	rotate             // go on in a new file
)

// cut decides for a file of size bytes under a limit. Far from the limit, bytes move unseen. Within the window before it
// the file ends with a whole line as soon as the waiting bytes do not.
func cut(size, limit int64) (step, int64) {
	window := min(int64(lineWindow), limit/2)
	switch {
	case size >= limit:
		return rotate, 0
	case size < limit-window:
		return move, limit - window - size
	default:
		return look, limit - size
	}
}

// cutSeen decides within the window: seen are the bytes at the head of the pipe, no more than fit into the file, and
// atLineStart tells whether the file ends with a newline. Whole lines go to this file, the beginning of a line to the
// next. Only a line that began before the window, and is thus longer than it, fills the file up to its limit and is split
// there.
func cutSeen(seen []byte, atLineStart bool) (step, int64) {
	if end := bytes.LastIndexByte(seen, '\n'); end >= 0 {
		return move, int64(end) + 1
	}
	if atLineStart {
		return rotate, 0
	}
	return move, int64(len(seen))
}
