package executor

import (
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ParseSignal reads a signal's name, with or without SIG, or its number.
func ParseSignal(name string) (syscall.Signal, error) {
	text := strings.ToUpper(strings.TrimSpace(name))
	if n := 0; len(text) > 0 && text[0] >= '0' && text[0] <= '9' {
		if _, err := fmt.Sscanf(text, "%d", &n); err == nil && n > 0 && n <= 64 {
			return syscall.Signal(n), nil
		}
	}
	if !strings.HasPrefix(text, "SIG") {
		text = "SIG" + text
	}
	if sig := unix.SignalNum(text); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("unknown signal %q; names are such as SIGTERM", name)
}
