package server

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

// JobRevertRequest goes back to an older version.
type JobRevertRequest struct {
	Namespace           string
	JobID               string
	JobVersion          uint64
	EnforcePriorVersion *uint64 // the version it must be at now
}

// RevertJob registers an older version of a job as its newest.
func (s *Server) RevertJob(ctx context.Context, q *JobRevertRequest) (*JobRegisterResponse, error) {
	snap := s.state.Snapshot()
	cur := snap.Job(q.Namespace, q.JobID)
	if cur == nil {
		return nil, jobNotFound(q.JobID)
	}
	if err := s.registrationAllowed(snap); err != nil {
		return nil, err
	}
	if cur.Version == q.JobVersion {
		return nil, rpc.Errorf(rpc.ErrInvalid, "can't revert to current version %d of job %q", q.JobVersion, q.JobID)
	}
	if q.EnforcePriorVersion != nil && cur.Version != *q.EnforcePriorVersion {
		return nil, rpc.Errorf(rpc.ErrConflict, "current job has version %d; enforcing version %d", cur.Version, *q.EnforcePriorVersion)
	}
	old := snap.JobVersion(q.Namespace, q.JobID, q.JobVersion)
	if old == nil {
		return nil, rpc.Errorf(rpc.ErrNotFound, "job %q at version %d not found: the versions kept are %s", q.JobID, q.JobVersion, versionList(snap.JobVersions(q.Namespace, q.JobID)))
	}
	job := *old
	job.VersionTag, job.SubmitTime = nil, 0
	return s.registerEntry(ctx, &consensus.RegisterJob{
		Job: &job, EnforceIndex: true, JobModifyIndex: cur.JobModifyIndex, Tracked: s.cfg.Limits.JobTrackedVersions,
		Submission: snap.JobSubmission(q.Namespace, q.JobID, q.JobVersion), Eval: jobEval(&job, model.TriggerJobRegister, 0),
	}, nil)
}

func versionList(versions []*model.Job) string {
	var out []string
	for _, v := range versions {
		out = append(out, fmt.Sprint(v.Version))
	}
	slices.Reverse(out)
	return strings.Join(out, ", ")
}

// JobStableRequest marks a version as one to fall back to, or not.
type JobStableRequest struct {
	Namespace  string
	JobID      string
	JobVersion uint64
	Stable     bool
}

// IndexResponse says at which index something was written.
type IndexResponse struct{ Index uint64 }

// StableJob marks a version.
func (s *Server) StableJob(ctx context.Context, q *JobStableRequest) (*IndexResponse, error) {
	if s.state.Snapshot().Job(q.Namespace, q.JobID) == nil {
		return nil, jobNotFound(q.JobID)
	}
	index, _, err := s.apply(ctx, &consensus.JobStability{Namespace: q.Namespace, JobID: q.JobID, Version: q.JobVersion, Stable: q.Stable})
	return &IndexResponse{index}, err
}

// JobTagRequest names a version, or with Remove takes the name away. Version nil is the newest.
type JobTagRequest struct {
	Namespace   string
	JobID       string
	Version     *uint64
	Name        string
	Description string
	Remove      bool
}

// tagName is what a version may be called.
var tagName = regexp.MustCompile(`^[^\s\x00]{1,128}$`)

// TagJobVersion sets or removes a tag. It returns the tag set.
func (s *Server) TagJobVersion(ctx context.Context, q *JobTagRequest) (*model.JobVersionTag, uint64, error) {
	if !tagName.MatchString(q.Name) {
		return nil, 0, rpc.Errorf(rpc.ErrInvalid, "version tag %q: it must have 1 to 128 characters and no space", q.Name)
	}
	snap := s.state.Snapshot()
	job := snap.Job(q.Namespace, q.JobID)
	if job == nil {
		return nil, 0, jobNotFound(q.JobID)
	}
	entry := &consensus.TagJobVersion{Namespace: q.Namespace, JobID: q.JobID, Version: job.Version}
	if q.Remove {
		i := slices.IndexFunc(snap.JobVersions(q.Namespace, q.JobID), func(v *model.Job) bool { return v.VersionTag != nil && v.VersionTag.Name == q.Name })
		if i < 0 {
			return nil, 0, rpc.Errorf(rpc.ErrNotFound, "job %q has no version with tag %q", q.JobID, q.Name)
		}
		entry.Version = snap.JobVersions(q.Namespace, q.JobID)[i].Version
	} else {
		if q.Version != nil {
			entry.Version = *q.Version
		}
		entry.Tag = &model.JobVersionTag{Name: q.Name, Description: q.Description, TaggedTime: time.Now().UnixNano()}
	}
	index, _, err := s.apply(ctx, entry)
	return entry.Tag, index, err
}
