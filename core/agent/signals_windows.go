package agent

import (
	"os"
	"syscall"
)

// stopSignals end the agent in good order.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// notifyReload does nothing: Windows has no such signal; `drover plugin reload` does the same.
func notifyReload(chan<- os.Signal) {}
