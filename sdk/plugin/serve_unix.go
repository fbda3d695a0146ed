//go:build unix

package plugin

import (
	"os"
	"os/signal"
	"syscall"
)

// surviveBrokenPipes keeps the process alive when it logs into a stderr whose reader died: a write then fails instead
// of ending the process. The signal is caught, not ignored, because children inherit ignored signals.
func surviveBrokenPipes() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}
