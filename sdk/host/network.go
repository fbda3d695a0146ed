package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/droverhq/drover/sdk/network"
	networkv1 "github.com/droverhq/drover/sdk/proto/network/v1"
)

// networkCall is the deadline of calls that set up or remove networks, if the context has none.
const networkCall = 2 * time.Minute

// Network calls a network plugin.
type Network struct{ c *networkv1.Client }

func newNetwork(cc grpc.ClientConnInterface) *Network { return &Network{networkv1.NewClient(cc)} }

// Init tells the plugin where it is. It comes after SetConfig, and after a reattach.
func (n *Network) Init(ctx context.Context, node *network.Node) error {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	_, err := n.c.Init(ctx, &networkv1.InitRequest{StateDir: node.StateDir, Owner: node.Owner, Settings: node.Settings})
	return callError(ctx, "init network plugin", err)
}

// Offers calls f with everything that is offered, again at each change, until ctx ends, f fails, or the plugin ends the
// stream. A mode that breaks the contract is an error.
func (n *Network) Offers(ctx context.Context, f func(*network.Offers) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := n.c.Offers(ctx, &networkv1.OffersRequest{})
	return receive(ctx, "network offers", stream, err, func(m *networkv1.OffersResponse) error {
		o := network.OffersFromProto(m)
		for i := range o.Modes {
			if err := o.Modes[i].Validate(); err != nil {
				return err
			}
		}
		return f(o)
	})
}

// Setup gives an allocation its network. It may be repeated. revision grows with every request of this host.
func (n *Network) Setup(ctx context.Context, a *network.Allocation, revision uint64) (*network.Status, error) {
	ctx, cancel := deadline(ctx, networkCall)
	defer cancel()
	resp, err := n.c.Setup(ctx, &networkv1.SetupRequest{Allocation: a.Proto(), Revision: revision})
	if err != nil {
		return nil, networkError(callError(ctx, "set up network", err))
	}
	s := network.StatusFromProto(resp.GetStatus())
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("set up network: %w", err)
	}
	return s, nil
}

// Teardown removes an allocation's network. It may be repeated.
func (n *Network) Teardown(ctx context.Context, r *network.TeardownRequest, revision uint64) error {
	ctx, cancel := deadline(ctx, networkCall)
	defer cancel()
	_, err := n.c.Teardown(ctx, &networkv1.TeardownRequest{AllocationId: r.AllocID, NamespacePath: r.NamespacePath, Revision: revision})
	return networkError(callError(ctx, "tear down network", err))
}

// Status asks how an allocation's network is; network.ErrUnknown if it has none.
func (n *Network) Status(ctx context.Context, allocID string) (*network.Status, error) {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	resp, err := n.c.Status(ctx, &networkv1.StatusRequest{AllocationId: allocID})
	if err != nil {
		return nil, networkError(callError(ctx, "network status", err))
	}
	return network.StatusFromProto(resp.GetStatus()), nil
}

// List asks for the allocations of which anything exists.
func (n *Network) List(ctx context.Context) ([]string, error) {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	resp, err := n.c.List(ctx, &networkv1.ListRequest{})
	return resp.GetAllocationIds(), callError(ctx, "list networks", err)
}

// Reconcile makes what exists what is wanted, and returns what was otherwise.
func (n *Network) Reconcile(ctx context.Context, wanted []*network.Allocation, revision uint64) ([]network.Outcome, error) {
	ctx, cancel := deadline(ctx, networkCall)
	defer cancel()
	req := &networkv1.ReconcileRequest{Revision: revision}
	for _, a := range wanted {
		req.Wanted = append(req.Wanted, a.Proto())
	}
	resp, err := n.c.Reconcile(ctx, req)
	if err != nil {
		return nil, callError(ctx, "reconcile networks", err)
	}
	var outcomes []network.Outcome
	for _, o := range resp.GetOutcomes() {
		outcomes = append(outcomes, network.Outcome{AllocID: o.GetAllocationId(), Action: network.Action(o.GetAction()), Reason: o.GetReason()})
	}
	return outcomes, nil
}

// networkError gives errors of the contract their classes back.
func networkError(err error) error {
	var call *CallError
	if !errors.As(err, &call) {
		return err
	}
	switch call.Code {
	case codes.NotFound:
		call.class = network.ErrUnknown
	case codes.Aborted:
		call.class = network.ErrOvertaken
	}
	return err
}
