package isolation

import "fmt"

// Values of the options pid_mode and ipc_mode.
const (
	Private = "private" // a namespace of the task's own
	Host    = "host"    // the host's
)

// IsPrivate reads an option's mode; an empty one is the default. The error
// names the option and what it may be.
func IsPrivate(option, mode, byDefault string) (bool, error) {
	if mode == "" {
		mode = byDefault
	}
	switch mode {
	case Private:
		return true, nil
	case Host:
		return false, nil
	}
	return false, fmt.Errorf("%s is %q, it must be %q or %q", option, mode, Private, Host)
}
