package attribute

import "strings"

// unit is one entry of the table of units: its family and its size in the family's smallest unit.
type unit struct {
	name   string
	family string
	factor float64
}

// unitTable is an array, which costs no memory where it is asked for: schedulers compare by the million.
func unitTable() [33]unit {
	const kib = 1024.0
	const kb = 1000.0
	return [...]unit{
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
		{"KiB/s", "byte rate", kib},
		{"MiB/s", "byte rate", kib * kib},
		{"GiB/s", "byte rate", kib * kib * kib},
		{"TiB/s", "byte rate", kib * kib * kib * kib},
		{"PiB/s", "byte rate", kib * kib * kib * kib * kib},
		{"EiB/s", "byte rate", kib * kib * kib * kib * kib * kib},
		{"kB/s", "byte rate", kb},
		{"KB/s", "byte rate", kb},
		{"MB/s", "byte rate", kb * kb},
		{"GB/s", "byte rate", kb * kb * kb},
		{"TB/s", "byte rate", kb * kb * kb * kb},
		{"PB/s", "byte rate", kb * kb * kb * kb * kb},
		{"EB/s", "byte rate", kb * kb * kb * kb * kb * kb},
		{"MHz", "hertz", 1e6},
		{"GHz", "hertz", 1e9},
		{"mW", "watt", 1e-3},
		{"W", "watt", 1},
		{"kW", "watt", 1e3},
		{"MW", "watt", 1e6},
		{"GW", "watt", 1e9},
	}
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
