package model

import (
	"strings"
	"testing"
)

// A job that claims to be a child gets no other characters into its names.
func TestNamesOfChildren(t *testing.T) {
	for _, parent := range []string{"", "parent"} {
		for _, id := range []string{"a\x00b", "a\x1b[31m", strings.Repeat("x", 2*maxName+1)} {
			c := &checker{job: &Job{ID: id, Name: "n", ParentID: parent}}
			if c.checkJob(Limits{}); !strings.Contains(textOf(c), "job ID") {
				t.Errorf("ID %q of a child of %q is accepted", id, parent)
			}
		}
	}
}

func textOf(c *checker) string {
	var all []string
	for _, p := range c.problems {
		all = append(all, p.Error())
	}
	return strings.Join(all, "\n")
}
