// Service is a service for tests: `service run` goes on until it is stopped, `service stubborn` never hears a stop, and
// `service exit N` ends by itself with code N.
package main

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/windows/svc"
)

func main() {
	if len(os.Args) < 2 || svc.Run("", service(os.Args[1:])) != nil {
		os.Exit(2)
	}
}

type service []string

func (s service) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (specific bool, code uint32) {
	accepts := svc.AcceptStop | svc.AcceptShutdown | svc.AcceptParamChange
	var end <-chan time.Time
	if s[0] == "stubborn" {
		accepts = 0
	}
	if s[0] == "exit" {
		n, err := strconv.ParseUint(s[1], 10, 32)
		if err != nil {
			return false, 1
		}
		specific, code = n != 0, uint32(n)
		end = time.After(300 * time.Millisecond)
	}
	status <- svc.Status{State: svc.Running, Accepts: accepts}
	for {
		select {
		case <-end:
			return specific, code
		case r, ok := <-requests:
			switch {
			case !ok || r.Cmd == svc.Stop || r.Cmd == svc.Shutdown:
				status <- svc.Status{State: svc.StopPending}
				return false, 0
			case r.Cmd == svc.Interrogate:
				status <- r.CurrentStatus
			}
		}
	}
}
