package config

import (
	"fmt"
	"strconv"
	"strings"
)

// mostCore bounds the number of a core.
const mostCore = 4095

// Cores reads the numbers of processor cores as operators write them, "0-3,8". Empty text is none.
func Cores(text string) ([]uint16, error) {
	var out []uint16
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		from, err := strconv.ParseUint(low, 10, 16)
		to, err2 := strconv.ParseUint(high, 10, 16)
		if err != nil || err2 != nil || to < from || to > mostCore {
			return nil, fmt.Errorf("%q is no list of cores: want numbers up to %d and ranges, such as \"0-3,8\"", text, mostCore)
		}
		for c := from; c <= to; c++ {
			out = append(out, uint16(c))
		}
	}
	return out, nil
}
