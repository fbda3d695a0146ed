//go:build !amd64

package qemu

// probeExit is not used without a guest.
const probeExit = 0

// probeROM has no guest for this kind of processor.
func probeROM() []byte { return nil }
