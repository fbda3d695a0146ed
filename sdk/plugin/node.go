package plugin

// NodeConfig is what the host tells every plugin about its node.
type NodeConfig struct {
	// MinPort and MaxPort bound the ports that a plugin may use for helper processes of its own.
	MinPort, MaxPort uint32
	// Topology is nil if the host did not send one; hosts must send it to drivers.
	Topology *Topology
}

// Topology is the node's processors.
type Topology struct {
	NodeIDs []uint32 // NUMA nodes
	// Distances is the square matrix of NUMA distances, row by row; empty on machines with one node.
	Distances []uint32
	// DistanceDimension is the matrix' row length. It is sent as it was received: hosts send 0 with an empty matrix.
	DistanceDimension uint32
	Cores             []Core
	OverrideTotal     uint64 // MHz; 0 = sum of the cores
	OverrideWithhold  uint64 // MHz kept from tasks
}

// Core is one processor core (a hardware thread).
type Core struct {
	SocketID   uint32
	NodeID     uint32
	CoreID     uint32
	Efficiency bool   // an efficiency core, not a performance core
	Disable    bool   // not usable by tasks
	BaseSpeed  uint64 // MHz
	MaxSpeed   uint64 // MHz
	GuessSpeed uint64 // MHz, measured; the fallback
}

// Speed is the first known of base, maximum and measured speed, in MHz.
func (c Core) Speed() uint64 {
	if c.BaseSpeed != 0 {
		return c.BaseSpeed
	}
	if c.MaxSpeed != 0 {
		return c.MaxSpeed
	}
	return c.GuessSpeed
}

// TotalCompute is the speed of all cores in MHz, or the operator's override.
func (t *Topology) TotalCompute() uint64 {
	if t.OverrideTotal != 0 {
		return t.OverrideTotal
	}
	var sum uint64
	for _, c := range t.Cores {
		sum += c.Speed()
	}
	return sum
}

// UsableCompute is what tasks may use, in MHz: all cores that are not disabled, or the operator's override, less what
// is withheld.
func (t *Topology) UsableCompute() uint64 {
	sum := t.OverrideTotal
	if sum == 0 {
		for _, c := range t.Cores {
			if !c.Disable {
				sum += c.Speed()
			}
		}
	}
	if t.OverrideWithhold >= sum {
		return 0
	}
	return sum - t.OverrideWithhold
}

// UsableCores counts the cores that tasks may use.
func (t *Topology) UsableCores() int {
	n := 0
	for _, c := range t.Cores {
		if !c.Disable {
			n++
		}
	}
	return n
}
