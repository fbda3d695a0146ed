package executor

import (
	"fmt"
	"strconv"
	"strings"
)

// IDRange is an inclusive range of user or group ids.
type IDRange struct{ First, Last uint32 }

// ParseIDRanges reads ids and ranges as in "0-10,1000".
func ParseIDRanges(text string) ([]IDRange, error) {
	var list []IDRange
	for _, part := range strings.Split(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, err := strconv.ParseUint(strings.TrimSpace(first), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is not an id or a range of ids such as 0-10", part)
		}
		b, err := strconv.ParseUint(strings.TrimSpace(last), 10, 32)
		if err != nil || b < a {
			return nil, fmt.Errorf("%q is not an id or a range of ids such as 0-10", part)
		}
		list = append(list, IDRange{uint32(a), uint32(b)})
	}
	return list, nil
}

// Denied are ids that tasks must not run as.
type Denied struct{ UIDs, GIDs []IDRange }

func within(id uint32, ranges []IDRange) bool {
	for _, r := range ranges {
		if id >= r.First && id <= r.Last {
			return true
		}
	}
	return false
}

// What hosts lease: no job gets at the uids of accounts by such a name.
const firstLeased, lastLeased = 80000, 89999

// dynamicUID reads the name of a user that the host leased: nomad-<uid>, for
// which no account exists.
func dynamicUID(name string) (uint32, bool) {
	text, ok := strings.CutPrefix(name, "nomad-")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil && n >= firstLeased && n <= lastLeased
}
