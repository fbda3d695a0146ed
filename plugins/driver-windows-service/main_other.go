//go:build !windows

// Drover-driver-windows-service exists on Windows only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "the service manager exists on Windows only")
	os.Exit(1)
}
