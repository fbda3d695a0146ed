package pluginhost

import (
	"maps"
	"testing"
)

// A plugin gives the node attributes of its own, and takes none from others.
func TestAttributesOfOthers(t *testing.T) {
	s := &Snapshot{Attributes: map[string]string{}}
	s.addAttributes(map[string]string{"driver.rogue": "1", "driver.rogue.n": "2", "driver.good": "stolen", "plugin.driver.good.version": "9", "shared": "first"}, "driver.rogue")
	s.addAttributes(map[string]string{"driver.good": "1", "driver.good.version": "3", "shared": "second"}, "driver.good")
	want := map[string]string{"driver.rogue": "1", "driver.rogue.n": "2", "driver.good": "1", "driver.good.version": "3", "shared": "first"}
	if !maps.Equal(s.Attributes, want) {
		t.Errorf("got %v, want %v", s.Attributes, want)
	}
}
