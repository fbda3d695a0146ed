package feasible

import (
	"strings"

	"github.com/droverhq/drover/core/model"
)

// MatchesDatacenter tells whether a datacenter matches one of the job's globs, in which * stands for any text.
func MatchesDatacenter(job *model.Job, dc string) bool {
	if dc == "" {
		return false
	}
	for _, glob := range job.Datacenters {
		if matchGlob(glob, dc) {
			return true
		}
	}
	return len(job.Datacenters) == 0
}

func matchGlob(glob, s string) bool {
	head, rest, star := strings.Cut(glob, "*")
	if !star {
		return glob == s
	}
	s, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(s, part)
		}
		at := strings.Index(s, part)
		if at < 0 {
			return false
		}
		s, rest = s[at+len(part):], more
	}
}
