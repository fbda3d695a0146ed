package network

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/droverhq/drover/sdk/plugin"
	extensionv1 "github.com/droverhq/drover/sdk/proto/extension/v1"
	networkv1 "github.com/droverhq/drover/sdk/proto/network/v1"
	"github.com/droverhq/drover/sdk/schema"
)

const (
	offersInterval = 5 * time.Second
	offersTimeout  = 30 * time.Second
)

// New makes a plugin of a network, to be given to plugin.Serve or to plugintest.
func New(info Info, n Network) plugin.Plugin {
	s := &server{info: info, impl: n, orders: newOrders()}
	s.closing, s.end = context.WithCancel(context.Background())
	return s
}

var _ plugin.Plugin = (*server)(nil)

// server is a network plugin as it is served.
type server struct {
	info    Info
	impl    Network
	orders  *orders
	closing context.Context // ends with the plugin
	end     context.CancelFunc
}

func (s *server) Info() plugin.Info {
	return plugin.Info{Type: plugin.TypeNetwork, Name: s.info.Name, Version: s.info.Version, APIVersions: []string{plugin.NetworkAPIVersion}}
}

func (s *server) ConfigSchema() (*schema.Spec, error) {
	if w, ok := s.impl.(WithConfig); ok {
		return w.Config().Schema()
	}
	return nil, nil
}

func (s *server) SetConfig(ctx context.Context, raw *plugin.RawConfig) error {
	if w, ok := s.impl.(WithConfig); ok {
		return w.Config().Apply(ctx, raw)
	}
	return nil
}

func (s *server) Register(r grpc.ServiceRegistrar)      { networkv1.RegisterServer(r, service{s}) }
func (s *server) Extensions() []string                  { return nil }
func (s *server) Detail() *extensionv1.CapabilityDetail { return nil }
func (s *server) Close()                                { s.end() }

// service answers the network contract.
type service struct{ *server }

func (s service) Init(ctx context.Context, req *networkv1.InitRequest) (*networkv1.InitResponse, error) {
	if w, ok := s.impl.(WithInit); ok {
		n := &Node{StateDir: req.GetStateDir(), Owner: req.GetOwner(), Settings: req.GetSettings()}
		if err := w.Init(ctx, n); err != nil {
			return nil, err
		}
	}
	return &networkv1.InitResponse{}, nil
}

// Offers sends what is offered: at once, then whenever it changed.
func (s service) Offers(_ *networkv1.OffersRequest, stream grpc.ServerStreamingServer[networkv1.OffersResponse]) error {
	interval := offersInterval
	if w, ok := s.impl.(WithOffersInterval); ok && w.OffersInterval() > 0 {
		interval = w.OffersInterval()
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var last *Offers
	for {
		next, err := s.offers(stream.Context())
		if err != nil {
			return err
		}
		if last == nil || !reflect.DeepEqual(last, next) {
			if err := stream.Send(next.Proto()); err != nil {
				return err
			}
			last = next
		}
		select {
		case <-ticker.C:
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-s.closing.Done():
			return nil
		}
	}
}

func (s service) offers(ctx context.Context) (*Offers, error) {
	ctx, cancel := context.WithTimeout(ctx, offersTimeout)
	defer cancel()
	o, err := s.impl.Offers(ctx)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return &Offers{}, nil
	}
	for i := range o.Modes {
		if err := o.Modes[i].Validate(); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (s service) Setup(ctx context.Context, req *networkv1.SetupRequest) (*networkv1.SetupResponse, error) {
	a := AllocationFromProto(req.GetAllocation())
	if err := a.Validate(); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	st, err := s.setUp(ctx, a, req.GetRevision())
	if err != nil {
		return nil, wireError(err)
	}
	return &networkv1.SetupResponse{Status: st.Proto()}, nil
}

func (s service) setUp(ctx context.Context, a *Allocation, revision uint64) (st *Status, err error) {
	err = s.orders.do(ctx, a.ID, revision, func() error {
		if st, err = s.impl.Setup(ctx, a); err != nil {
			return err
		}
		if st == nil {
			return fmt.Errorf("allocation %s: the plugin gave no status", a.ID)
		}
		st.AllocID = a.ID
		return st.Validate()
	})
	return st, err
}

func (s service) Teardown(ctx context.Context, req *networkv1.TeardownRequest) (*networkv1.TeardownResponse, error) {
	r := &TeardownRequest{AllocID: req.GetAllocationId(), NamespacePath: req.GetNamespacePath()}
	if err := validID(r.AllocID); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := s.tearDown(ctx, r, req.GetRevision()); err != nil {
		return nil, wireError(err)
	}
	return &networkv1.TeardownResponse{}, nil
}

func (s service) tearDown(ctx context.Context, r *TeardownRequest, revision uint64) error {
	return s.orders.do(ctx, r.AllocID, revision, func() error { return s.impl.Teardown(ctx, r) })
}

func (s service) Status(ctx context.Context, req *networkv1.StatusRequest) (*networkv1.StatusResponse, error) {
	id := req.GetAllocationId()
	if err := validID(id); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	var st *Status
	err := s.orders.do(ctx, id, 0, func() (err error) {
		st, err = s.impl.Status(ctx, id)
		return err
	})
	if err != nil {
		return nil, wireError(err)
	}
	if st == nil {
		return nil, fmt.Errorf("allocation %s: the plugin gave no status", id)
	}
	return &networkv1.StatusResponse{Status: st.Proto()}, nil
}

func (s service) List(ctx context.Context, _ *networkv1.ListRequest) (*networkv1.ListResponse, error) {
	ids, err := s.impl.List(ctx)
	if err != nil {
		return nil, wireError(err)
	}
	return &networkv1.ListResponse{AllocationIds: ids}, nil
}

// wireError gives the errors of the contract their codes.
func wireError(err error) error {
	switch {
	case errors.Is(err, ErrUnknown):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, ErrOvertaken):
		return status.Error(codes.Aborted, err.Error())
	}
	return err
}
