//go:build !windows

package fingerprint

import (
	"strings"

	"golang.org/x/sys/unix"
)

// lookSignals lists the names a job may use as kill_signal or send to a task.
func lookSignals(_ *Config, r *Result) error {
	var names []string
	for n := unix.Signal(1); n < 32; n++ {
		if name := unix.SignalName(n); name != "" {
			names = append(names, name)
		}
	}
	r.set("os.signals", strings.Join(names, ","))
	return nil
}
