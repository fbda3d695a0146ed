package tasklog

import (
	"slices"
	"strconv"
	"strings"
)

// fileName is the name of the index-th file of a stream.
func fileName(prefix string, index int) string {
	return prefix + "." + strconv.Itoa(index)
}

// fileIndex is the inverse of fileName; only names that fileName makes count.
func fileIndex(prefix, name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, prefix+".")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || strconv.Itoa(n) != digits {
		return 0, false
	}
	return n, true
}

// indexes picks the numbers of a stream's files out of a directory's names, ascending.
func indexes(prefix string, names []string) []int {
	var found []int
	for _, name := range names {
		if n, ok := fileIndex(prefix, name); ok {
			found = append(found, n)
		}
	}
	slices.Sort(found)
	return found
}
