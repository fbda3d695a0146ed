package attribute

import "strings"

// unit is one entry of the table of units: its family and its size in the family's smallest unit.
type unit struct {
	name   string
	family string
	factor float64
}

func unitTable() []unit {
	const kib = 1024.0
	const kb = 1000.0
	sizes := []unit{
		{"KiB", "byte", kib},
		{"MiB", "byte", kib * kib},
		{"GiB", "byte", kib * kib * kib},
		{"TiB", "byte", kib * kib * kib * kib},
		{"PiB", "byte", kib * kib * kib * kib * kib},
		{"EiB", "byte", kib * kib * kib * kib * kib * kib},
		{"kB", "byte", kb},
		{"KB", "byte", kb},
		{"MB", "byte", kb * kb},
		{"GB", "byte", kb * kb * kb},
		{"TB", "byte", kb * kb * kb * kb},
		{"PB", "byte", kb * kb * kb * kb * kb},
		{"EB", "byte", kb * kb * kb * kb * kb * kb},
	}
	table := append([]unit{}, sizes...)
	for _, s := range sizes {
		table = append(table, unit{s.name + "/s", "byte rate", s.factor})
	}
	return append(table,
		unit{"MHz", "hertz", 1e6},
		unit{"GHz", "hertz", 1e9},
		unit{"mW", "watt", 1e-3},
		unit{"W", "watt", 1},
		unit{"kW", "watt", 1e3},
		unit{"MW", "watt", 1e6},
		unit{"GW", "watt", 1e9},
	)
}

func unitOf(name string) (unit, bool) {
	for _, u := range unitTable() {
		if u.name == name {
			return u, true
		}
	}
	return unit{}, false
}

// longestUnitSuffix returns the unit that s ends with; "1kW" ends with kW, not with W.
func longestUnitSuffix(s string) string {
	longest := ""
	for _, u := range unitTable() {
		if len(u.name) > len(longest) && strings.HasSuffix(s, u.name) {
			longest = u.name
		}
	}
	return longest
}
