//go:build linux

package main

// library is the management library of the GPUs, as far as the plugin needs it. It is the one thing that cannot be had
// without a GPU, so it is narrow and speaks in plain values.
type library interface {
	// GPUs lists what tasks can have: whole GPUs, and in place of a GPU in MIG mode its slices. It finds the library
	// itself when that has been installed meanwhile. An error says what is missing.
	GPUs() (*machine, error)
	// Measure takes one sample of everything that GPUs lists.
	Measure() ([]sample, error)
}

// machine is what is known of all GPUs together.
type machine struct {
	Driver string // version
	CUDA   string // version that the driver supports, such as 12.4
	GPUs   []gpu
}

// gpu is a whole GPU or a MIG slice. Zero fields are not known.
type gpu struct {
	UUID     string
	Model    string // MIG slices have their profile behind that of their GPU
	PCIBusID string
	Minor    int    // of /dev/nvidia<minor>; -1: none of its own
	Slice    bool   // it is a MIG slice
	Trouble  string // why tasks must not get it; "" when it is well

	MemoryMiB       uint64
	BAR1MiB         uint64
	PowerW          uint64 // limit
	CoreClockMHz    uint64 // highest
	MemoryClockMHz  uint64 // highest
	PCIGeneration   int
	PCILanes        int
	ComputeMajor    int
	ComputeMinor    int
	PersistenceMode bool
	Multiprocessors uint64 // MIG slices only
}

// sample is one measurement; nil = the GPU does not tell.
type sample struct {
	UUID, Model string
	MemoryUsed  *uint64  // MiB
	MemoryTotal *uint64  // MiB
	Power       *float64 // W
	PowerLimit  *float64 // W
	Temperature *uint64  // degrees Celsius
	GPU         *uint64  // percent of the time in which it was busy
	Memory      *uint64  // percent of the time in which its memory was read or written
	Encoder     *uint64  // percent
	Decoder     *uint64  // percent
	ECC         *uint64  // uncorrected errors since the driver was loaded
}
