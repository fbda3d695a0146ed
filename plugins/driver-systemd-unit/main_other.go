//go:build !linux

// Drover-driver-systemd-unit exists on Linux only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "systemd exists on Linux only")
	os.Exit(1)
}
