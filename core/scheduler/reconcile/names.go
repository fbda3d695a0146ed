package reconcile

import (
	"strconv"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// nameIndex returns the index of an allocation's name, job.group[index]; -1 when it has none.
func nameIndex(name string) int {
	open := strings.LastIndexByte(name, '[')
	if open < 0 || !strings.HasSuffix(name, "]") {
		return -1
	}
	i, err := strconv.Atoi(name[open+1 : len(name)-1])
	if err != nil || i < 0 {
		return -1
	}
	return i
}

// allocName is the name of one instance.
func allocName(job, group string, i int) string {
	return job + "." + group + "[" + strconv.Itoa(i) + "]"
}

// names gives out the free indexes of a group, lowest first.
type names struct {
	job, group string
	used       map[int]bool
	next       int
}

func newNames(job, group string, taken ...[]*model.Allocation) *names {
	n := &names{job: job, group: group, used: map[int]bool{}}
	for _, list := range taken {
		for _, a := range list {
			n.used[nameIndex(a.Name)] = true
		}
	}
	return n
}

// take returns the lowest free name.
func (n *names) take() string {
	for n.used[n.next] {
		n.next++
	}
	n.used[n.next] = true
	return allocName(n.job, n.group, n.next)
}
