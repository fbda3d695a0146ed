//go:build linux

package sysfs

import (
	"strings"
	"testing"

	"github.com/droverhq/drover/sdk/plugin"
)

func TestSelection(t *testing.T) {
	s := &Selection{}
	take := func(ids IDs, node *plugin.NodeConfig) error {
		return s.configure(t.Context(), &plugin.Configuration[IDs]{Config: ids, Node: node})
	}
	if s.NamesAny() || s.Included("0403:6001") || s.Excluded("0403:6001") {
		t.Error("something is chosen before there is a config")
	}
	chosen := IDs{Include: []string{"0403:*"}, Exclude: []string{"*:6002"}}
	if err := take(chosen, nil); err != nil || s.NamesAny() {
		t.Errorf("a config that was only checked counts (%v)", err)
	}
	if err := take(chosen, &plugin.NodeConfig{}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string][2]bool{"0403:6001": {true, false}, "0403:6002": {true, true}, "abcd:6002": {false, true}, "abcd:6001": {}} {
		if got := [2]bool{s.Included(id), s.Excluded(id)}; got != want {
			t.Errorf("%s: included and excluded are %v, want %v", id, got, want)
		}
	}
	for _, bad := range []IDs{{Include: []string{"FTDI"}}, {Exclude: []string{"403:6001"}}} {
		if err := take(bad, &plugin.NodeConfig{}); err == nil || !strings.Contains(err.Error(), "0403:6001") {
			t.Errorf("%+v: got %v", bad, err)
		}
	}
	if !s.Included("0403:6001") {
		t.Error("a config that was refused has replaced the one before")
	}
}
