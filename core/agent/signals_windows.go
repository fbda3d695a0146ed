package agent

import "os"

// notifyReload does nothing: Windows has no such signal; `drover plugin reload` does the same.
func notifyReload(chan<- os.Signal) {}
