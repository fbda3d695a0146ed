package network

import (
	"context"
	"errors"
	"fmt"

	networkv1 "github.com/droverhq/drover/sdk/proto/network/v1"
)

// Reconcile makes what exists what is wanted. Allocations that a later request than this one was about are left alone.
func (s service) Reconcile(ctx context.Context, req *networkv1.ReconcileRequest) (*networkv1.ReconcileResponse, error) {
	wanted := map[string]*Allocation{}
	var list []*Allocation
	for _, p := range req.GetWanted() {
		a := AllocationFromProto(p)
		if err := a.Validate(); err != nil {
			return nil, err
		}
		wanted[a.ID] = a
		list = append(list, a)
	}
	outcomes, err := s.removeStrays(ctx, wanted, req.GetRevision())
	if err != nil {
		return nil, err
	}
	findings, err := s.audit(ctx, list)
	if err != nil {
		return nil, fmt.Errorf("audit networks: %w", err)
	}
	for _, f := range findings {
		if a := wanted[f.AllocID]; a != nil {
			outcomes = s.repair(ctx, outcomes, a, f.Reason, req.GetRevision())
		}
	}
	resp := &networkv1.ReconcileResponse{}
	for _, o := range outcomes {
		resp.Outcomes = append(resp.Outcomes, &networkv1.Outcome{AllocationId: o.AllocID, Action: networkv1.Outcome_Action(o.Action), Reason: o.Reason})
	}
	return resp, nil
}

// removeStrays tears down what is not wanted.
func (s service) removeStrays(ctx context.Context, wanted map[string]*Allocation, revision uint64) ([]Outcome, error) {
	ids, err := s.impl.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	known := map[string]bool{}
	var outcomes []Outcome
	for _, id := range ids {
		known[id] = true
		if wanted[id] != nil {
			continue
		}
		switch err := s.tearDown(ctx, &TeardownRequest{AllocID: id}, revision); {
		case errors.Is(err, ErrOvertaken): // it has just been set up
		case err != nil:
			outcomes = append(outcomes, Outcome{id, Failed, "remove what nobody wants: " + err.Error()})
		default:
			outcomes = append(outcomes, Outcome{id, Removed, "nobody wants it"})
		}
	}
	for id := range wanted {
		known[id] = true
	}
	s.orders.prune(known, revision)
	return outcomes, nil
}

func (s service) repair(ctx context.Context, outcomes []Outcome, a *Allocation, reason string, revision uint64) []Outcome {
	switch _, err := s.setUp(ctx, a, revision); {
	case errors.Is(err, ErrOvertaken): // it has just been torn down, or set up otherwise
		return outcomes
	case err != nil:
		return append(outcomes, Outcome{a.ID, Failed, reason + ": " + err.Error()})
	case reason == "":
		return outcomes
	}
	return append(outcomes, Outcome{a.ID, Repaired, reason})
}

// audit finds what is broken; without WithAudit everything may be, and Setup finds out.
func (s service) audit(ctx context.Context, wanted []*Allocation) ([]Finding, error) {
	if w, ok := s.impl.(WithAudit); ok {
		return w.Audit(ctx, wanted)
	}
	findings := make([]Finding, 0, len(wanted))
	for _, a := range wanted {
		findings = append(findings, Finding{AllocID: a.ID})
	}
	return findings, nil
}
