package plugin

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/sdk/internal/prototest"
	basev1 "github.com/droverhq/drover/sdk/proto/base/v1"
)

func TestNodeConfigLosesNoField(t *testing.T) {
	sent := &basev1.NomadConfig{}
	prototest.Fill(sent, 0, nil)
	d := sent.Driver.Topology.Distances
	d.Dimension, d.Values = 2, []uint32{10, 20, 20, 10}
	if back := NodeConfigFromProto(sent).Proto(); !proto.Equal(sent, back) {
		t.Errorf("sent %v\nback %v", sent, back)
	}
}

func TestNodeConfigAbsent(t *testing.T) {
	for name, p := range map[string]*basev1.NomadConfig{"nil": nil, "without a driver part": {}} {
		if NodeConfigFromProto(p) != nil {
			t.Errorf("%s: got a node", name)
		}
	}
	if (*NodeConfig)(nil).Proto() != nil {
		t.Error("no node is sent as one")
	}
}

// TestDistancesAreSquareOrLeftOut: plugins index the matrix without a check.
func TestDistancesAreSquareOrLeftOut(t *testing.T) {
	n := &NodeConfig{Topology: &Topology{DistanceDimension: 2, Distances: []uint32{1}}}
	if d := n.Proto().Driver.Topology.Distances; d == nil || d.Dimension != 0 || len(d.Values) != 0 {
		t.Errorf("got %v", d)
	}
}

func TestCompute(t *testing.T) {
	cores := []Core{
		{BaseSpeed: 1000, MaxSpeed: 2000, GuessSpeed: 3000},
		{MaxSpeed: 2000, GuessSpeed: 3000},
		{GuessSpeed: 3000, Disable: true},
	}
	tests := map[string]struct {
		topology      Topology
		total, usable uint64
	}{
		"sum of cores":        {Topology{Cores: cores}, 6000, 3000},
		"withheld":            {Topology{Cores: cores, OverrideWithhold: 500}, 6000, 2500},
		"override":            {Topology{Cores: cores, OverrideTotal: 9000, OverrideWithhold: 500}, 9000, 8500},
		"withheld everything": {Topology{Cores: cores, OverrideWithhold: 1 << 40}, 6000, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if total, usable := test.topology.TotalCompute(), test.topology.UsableCompute(); total != test.total || usable != test.usable {
				t.Errorf("got %d and %d, want %d and %d", total, usable, test.total, test.usable)
			}
		})
	}
	if n := (&Topology{Cores: cores}).UsableCores(); n != 2 {
		t.Errorf("got %d usable cores", n)
	}
}
