package conformance

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
)

// processesWith returns the processes whose environment holds the entry.
func processesWith(entry string) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended, or is somebody else's
		}
		for v := range bytes.SplitSeq(env, []byte{0}) {
			if string(v) == entry {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
				found = append(found, pid)
				break
			}
		}
	}
	return found, nil
}
