package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// resolve turns an abbreviated ID into the full one by searching a context; several matches are listed in the error.
func (c *client) resolve(ctx context.Context, kind, what, prefix string) (string, error) {
	prefix = strings.TrimSpace(prefix)
	if len(prefix) == 36 {
		return prefix, nil
	}
	if len(prefix) < 2 {
		return "", fmt.Errorf("%s ID %q is too short: give at least two characters", what, prefix)
	}
	var out struct{ Matches map[string][]string }
	if err := c.put(ctx, "/v1/search", nil, map[string]string{"Prefix": prefix, "Context": kind}, &out); err != nil {
		return "", err
	}
	switch ids := out.Matches[kind]; len(ids) {
	case 0:
		return "", fmt.Errorf("no %s found whose ID starts with %q", what, prefix)
	case 1:
		return ids[0], nil
	default:
		return "", fmt.Errorf("%q matches several %ss:\n  %s", prefix, what, strings.Join(ids, "\n  "))
	}
}

// jobNamed is the job an argument names, and the client it was found with.
func (a *app) jobNamed(ctx context.Context, id string) (*client, *model.Job, error) {
	cl, err := a.api()
	if err != nil {
		return nil, nil, err
	}
	j, err := cl.job(ctx, id)
	return cl, j, err
}

// allocNamed is the allocation an argument names, and the client it was found with.
func (a *app) allocNamed(ctx context.Context, prefix string) (*client, *model.Allocation, error) {
	cl, err := a.api()
	if err != nil {
		return nil, nil, err
	}
	al, err := cl.alloc(ctx, prefix)
	return cl, al, err
}

func (c *client) alloc(ctx context.Context, prefix string) (*model.Allocation, error) {
	id, err := c.resolve(ctx, "allocs", "allocation", prefix)
	if err != nil {
		return nil, err
	}
	var al model.Allocation
	if _, err := c.get(ctx, "/v1/allocation/"+seg(id), nil, &al); err != nil {
		if notFound(err) {
			return nil, fmt.Errorf("no allocation found with ID %q", id)
		}
		return nil, err
	}
	return &al, nil
}

// job finds a job by its exact ID, then by prefix.
func (c *client) job(ctx context.Context, id string) (*model.Job, error) {
	var j model.Job
	_, err := c.get(ctx, "/v1/job/"+seg(id), nil, &j)
	if err == nil {
		return &j, nil
	}
	if !notFound(err) {
		return nil, err
	}
	var stubs []model.JobListStub
	if _, err := c.get(ctx, "/v1/jobs", query{"prefix": id}, &stubs); err != nil {
		return nil, err
	}
	switch len(stubs) {
	case 0:
		return nil, fmt.Errorf("no job found with ID or prefix %q", id)
	case 1:
		_, err := c.get(ctx, "/v1/job/"+seg(stubs[0].ID), query{"namespace": stubs[0].Namespace}, &j)
		return &j, err
	}
	names := make([]string, len(stubs))
	for i, s := range stubs {
		names[i] = s.ID
	}
	return nil, fmt.Errorf("%q matches several jobs:\n  %s", id, strings.Join(names, "\n  "))
}

// allocOfJob picks a running allocation of a job, any other when none runs.
func (c *client) allocOfJob(ctx context.Context, jobID, group, task string) (*model.Allocation, error) {
	j, err := c.job(ctx, jobID)
	if err != nil {
		return nil, err
	}
	var stubs []*model.AllocListStub
	if _, err := c.get(ctx, "/v1/job/"+seg(j.ID)+"/allocations", query{"namespace": j.Namespace}, &stubs); err != nil {
		return nil, err
	}
	var pick *model.AllocListStub
	for _, s := range stubs {
		if group != "" && s.TaskGroup != group {
			continue
		}
		if _, has := s.TaskStates[task]; task != "" && !has {
			continue
		}
		if pick == nil || s.ClientStatus == model.AllocClientRunning && pick.ClientStatus != model.AllocClientRunning {
			pick = s
		}
	}
	if pick == nil {
		return nil, fmt.Errorf("job %q has no allocation to pick", j.ID)
	}
	return c.alloc(ctx, pick.ID)
}
