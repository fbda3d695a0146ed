package config

import (
	"slices"
	"testing"
)

func TestCores(t *testing.T) {
	for text, want := range map[string][]uint16{"": nil, "0": {0}, "0-2, 8": {0, 1, 2, 8}} {
		if got, err := Cores(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"a", "1-", "3-1", "-1", "1,,2", "0-70000", "5000"} {
		if got, err := Cores(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
