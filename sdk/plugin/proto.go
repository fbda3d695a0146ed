package plugin

import basev1 "github.com/droverhq/drover/sdk/proto/base/v1"

// Proto returns the wire form; n may be nil.
func (n *NodeConfig) Proto() *basev1.NomadConfig {
	if n == nil {
		return nil
	}
	return &basev1.NomadConfig{Driver: &basev1.NomadDriverConfig{
		ClientMinPort: n.MinPort,
		ClientMaxPort: n.MaxPort,
		Topology:      n.Topology.proto(),
	}}
}

// NodeConfigFromProto reads the wire form; it returns nil if there is no driver part.
func NodeConfigFromProto(p *basev1.NomadConfig) *NodeConfig {
	d := p.GetDriver()
	if d == nil {
		return nil
	}
	return &NodeConfig{MinPort: d.ClientMinPort, MaxPort: d.ClientMaxPort, Topology: topologyFromProto(d.Topology)}
}

func (t *Topology) proto() *basev1.ClientTopology {
	if t == nil {
		return nil
	}
	p := &basev1.ClientTopology{
		NodeIds:                t.NodeIDs,
		Distances:              t.distances(),
		OverrideTotalCompute:   t.OverrideTotal,
		OverrideWitholdCompute: t.OverrideWithhold,
	}
	for _, c := range t.Cores {
		p.Cores = append(p.Cores, c.proto())
	}
	return p
}

// distances leaves out a matrix that is not square: plugins index it without a check.
func (t *Topology) distances() *basev1.ClientTopologySLIT {
	if n := uint64(t.DistanceDimension); n*n != uint64(len(t.Distances)) {
		return &basev1.ClientTopologySLIT{}
	}
	return &basev1.ClientTopologySLIT{Dimension: t.DistanceDimension, Values: t.Distances}
}

func topologyFromProto(p *basev1.ClientTopology) *Topology {
	if p == nil {
		return nil
	}
	t := &Topology{
		NodeIDs:           p.NodeIds,
		Distances:         p.GetDistances().GetValues(),
		DistanceDimension: p.GetDistances().GetDimension(),
		OverrideTotal:     p.OverrideTotalCompute,
		OverrideWithhold:  p.OverrideWitholdCompute,
	}
	for _, c := range p.Cores {
		t.Cores = append(t.Cores, coreFromProto(c))
	}
	return t
}

func (c Core) proto() *basev1.ClientTopologyCore {
	p := &basev1.ClientTopologyCore{
		SocketId:   c.SocketID,
		NodeId:     c.NodeID,
		CoreId:     c.CoreID,
		Disable:    c.Disable,
		BaseSpeed:  c.BaseSpeed,
		MaxSpeed:   c.MaxSpeed,
		GuessSpeed: c.GuessSpeed,
	}
	if c.Efficiency {
		p.CoreGrade = basev1.CoreGrade_Efficiency
	}
	return p
}

func coreFromProto(p *basev1.ClientTopologyCore) Core {
	return Core{
		SocketID:   p.GetSocketId(),
		NodeID:     p.GetNodeId(),
		CoreID:     p.GetCoreId(),
		Efficiency: p.GetCoreGrade() == basev1.CoreGrade_Efficiency,
		Disable:    p.GetDisable(),
		BaseSpeed:  p.GetBaseSpeed(),
		MaxSpeed:   p.GetMaxSpeed(),
		GuessSpeed: p.GetGuessSpeed(),
	}
}
