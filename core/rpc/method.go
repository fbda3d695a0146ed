package rpc

import (
	"context"
	"io"
	"strings"

	"google.golang.org/grpc"
)

// Registry collects the methods one end serves. Use Server to make it answer.
type Registry struct {
	services map[string]*grpc.ServiceDesc
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{services: map[string]*grpc.ServiceDesc{}} }

func (r *Registry) service(full string) (*grpc.ServiceDesc, string) {
	name, method, _ := strings.Cut(strings.TrimPrefix(full, "/"), "/")
	d := r.services[name]
	if d == nil {
		d = &grpc.ServiceDesc{ServiceName: name, HandlerType: (*any)(nil), Metadata: name}
		r.services[name] = d
	}
	return d, method
}

// Server returns a gRPC server that answers the registered methods.
func (r *Registry) Server(opts ...grpc.ServerOption) *grpc.Server {
	opts = append([]grpc.ServerOption{
		grpc.ForceServerCodec(codec{}),
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.SharedWriteBuffer(true),
	}, opts...)
	s := grpc.NewServer(opts...)
	for _, d := range r.services {
		s.RegisterService(d, struct{}{})
	}
	return s
}

// DialOptions are the options every client connection of this package needs besides its credentials and dialer.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{}), grpc.MaxCallRecvMsgSize(MaxMessage)),
		grpc.WithSharedWriteBuffer(true),
	}
}

// Unary is a call with one request and one response.
type Unary[Q, R any] struct{ Name string }

// Call makes the call.
func (m Unary[Q, R]) Call(ctx context.Context, cc grpc.ClientConnInterface, req *Q) (*R, error) {
	resp := new(R)
	if err := cc.Invoke(ctx, m.Name, req, resp); err != nil {
		return nil, fromStatus(err)
	}
	return resp, nil
}

// Handle serves the call.
func (m Unary[Q, R]) Handle(r *Registry, fn func(context.Context, *Q) (*R, error)) {
	d, name := r.service(m.Name)
	d.Methods = append(d.Methods, grpc.MethodDesc{
		MethodName: name,
		Handler: func(_ any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			req := new(Q)
			if err := dec(req); err != nil {
				return nil, err
			}
			call := func(ctx context.Context, req any) (any, error) {
				resp, err := fn(ctx, req.(*Q))
				if err != nil {
					return nil, toStatus(err)
				}
				return resp, nil
			}
			if interceptor == nil {
				return call(ctx, req)
			}
			return interceptor(ctx, req, &grpc.UnaryServerInfo{FullMethod: m.Name}, call)
		},
	})
}

// Stream is a call with one request and many responses.
type Stream[Q, R any] struct{ Name string }

// Call makes the call. next returns io.EOF at the end; cancel ctx to end earlier.
func (m Stream[Q, R]) Call(ctx context.Context, cc grpc.ClientConnInterface, req *Q) (next func() (*R, error), err error) {
	cs, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, m.Name)
	if err != nil {
		return nil, fromStatus(err)
	}
	if err := cs.SendMsg(req); err != nil {
		return nil, fromStatus(err)
	}
	if err := cs.CloseSend(); err != nil {
		return nil, fromStatus(err)
	}
	return func() (*R, error) { return receive[R](cs) }, nil
}

// Handle serves the call; what fn returns ends the stream.
func (m Stream[Q, R]) Handle(r *Registry, fn func(ctx context.Context, req *Q, send func(*R) error) error) {
	d, name := r.service(m.Name)
	d.Streams = append(d.Streams, grpc.StreamDesc{
		StreamName:    name,
		ServerStreams: true,
		Handler: func(_ any, ss grpc.ServerStream) error {
			req := new(Q)
			if err := ss.RecvMsg(req); err != nil {
				return err
			}
			return toStatus(fn(ss.Context(), req, func(v *R) error { return ss.SendMsg(v) }))
		},
	})
}

// Bidi is a call in which both ends send many messages.
type Bidi[Q, R any] struct{ Name string }

// BidiClient is the calling end of a Bidi. Send and Recv may be used from one goroutine each.
type BidiClient[Q, R any] struct{ cs grpc.ClientStream }

// Send sends one message.
func (c *BidiClient[Q, R]) Send(v *Q) error { return fromStatus(c.cs.SendMsg(v)) }

// CloseSend says that no more will be sent.
func (c *BidiClient[Q, R]) CloseSend() error { return c.cs.CloseSend() }

// Recv waits for the next message; io.EOF at the end.
func (c *BidiClient[Q, R]) Recv() (*R, error) { return receive[R](c.cs) }

// Call opens the stream.
func (m Bidi[Q, R]) Call(ctx context.Context, cc grpc.ClientConnInterface) (*BidiClient[Q, R], error) {
	cs, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, m.Name)
	if err != nil {
		return nil, fromStatus(err)
	}
	return &BidiClient[Q, R]{cs}, nil
}

// BidiServer is the serving end of a Bidi.
type BidiServer[Q, R any] struct{ ss grpc.ServerStream }

// Context ends when the caller goes away.
func (s *BidiServer[Q, R]) Context() context.Context { return s.ss.Context() }

// Send sends one message.
func (s *BidiServer[Q, R]) Send(v *R) error { return s.ss.SendMsg(v) }

// Recv waits for the next message; io.EOF when the caller closed its side.
func (s *BidiServer[Q, R]) Recv() (*Q, error) {
	v := new(Q)
	if err := s.ss.RecvMsg(v); err != nil {
		return nil, err
	}
	return v, nil
}

// Handle serves the call; what fn returns ends the stream.
func (m Bidi[Q, R]) Handle(r *Registry, fn func(*BidiServer[Q, R]) error) {
	d, name := r.service(m.Name)
	d.Streams = append(d.Streams, grpc.StreamDesc{
		StreamName:    name,
		ServerStreams: true,
		ClientStreams: true,
		Handler: func(_ any, ss grpc.ServerStream) error {
			return toStatus(fn(&BidiServer[Q, R]{ss}))
		},
	})
}

func receive[R any](cs grpc.ClientStream) (*R, error) {
	v := new(R)
	if err := cs.RecvMsg(v); err != nil {
		if err == io.EOF {
			return nil, io.EOF
		}
		return nil, fromStatus(err)
	}
	return v, nil
}
