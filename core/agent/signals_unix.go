//go:build !windows

package agent

import (
	"os"
	"os/signal"
	"syscall"
)

// stopSignals end the agent in good order.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// notifyReload sends SIGHUP to c.
func notifyReload(c chan<- os.Signal) { signal.Notify(c, syscall.SIGHUP) }
