// Package wire builds gRPC services whose names on the wire differ from the proto package of their messages. The public
// plugin contract fixes service and method names; our messages are registered under names of our own.
package wire

import (
	"context"

	"google.golang.org/grpc"
)

// RecoverableErrorURL is the type URL under which the status detail of a recoverable failure travels.
const RecoverableErrorURL = "type.googleapis.com/hashicorp.nomad.plugins.shared.structs.RecoverableError"

// Method returns the full name of a method, as it travels.
func Method(service, name string) string { return "/" + service + "/" + name }

// Unary describes a method with one request and one response. call is the method expression of the server's interface.
func Unary[S, Req, Resp any](service, name string, call func(S, context.Context, *Req) (*Resp, error)) grpc.MethodDesc {
	info := &grpc.UnaryServerInfo{FullMethod: Method(service, name)}
	return grpc.MethodDesc{
		MethodName: name,
		Handler: func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			req := new(Req)
			if err := decode(req); err != nil {
				return nil, err
			}
			if intercept == nil {
				return call(srv.(S), ctx, req)
			}
			called := *info
			called.Server = srv
			return intercept(ctx, req, &called, func(ctx context.Context, req any) (any, error) {
				return call(srv.(S), ctx, req.(*Req))
			})
		},
	}
}

// ServerStream describes a method with one request and a stream of responses.
func ServerStream[S, Req, Resp any](name string, call func(S, *Req, grpc.ServerStreamingServer[Resp]) error) grpc.StreamDesc {
	return grpc.StreamDesc{
		StreamName:    name,
		ServerStreams: true,
		Handler: func(srv any, stream grpc.ServerStream) error {
			req := new(Req)
			if err := stream.RecvMsg(req); err != nil {
				return err
			}
			return call(srv.(S), req, &grpc.GenericServerStream[Req, Resp]{ServerStream: stream})
		},
	}
}

// BidiStream describes a method with a stream in both directions.
func BidiStream[S, Req, Resp any](name string, call func(S, grpc.BidiStreamingServer[Req, Resp]) error) grpc.StreamDesc {
	return grpc.StreamDesc{
		StreamName:    name,
		ServerStreams: true,
		ClientStreams: true,
		Handler: func(srv any, stream grpc.ServerStream) error {
			return call(srv.(S), &grpc.GenericServerStream[Req, Resp]{ServerStream: stream})
		},
	}
}

// Call invokes a unary method.
func Call[Resp any](ctx context.Context, cc grpc.ClientConnInterface, method string, req any) (*Resp, error) {
	resp := new(Resp)
	if err := cc.Invoke(ctx, method, req, resp); err != nil {
		return nil, err
	}
	return resp, nil
}

// Receive opens a stream of responses.
func Receive[Req, Resp any](ctx context.Context, cc grpc.ClientConnInterface, method string, req *Req) (grpc.ServerStreamingClient[Resp], error) {
	stream, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return nil, err
	}
	typed := &grpc.GenericClientStream[Req, Resp]{ClientStream: stream}
	if err := stream.SendMsg(req); err != nil {
		return nil, err
	}
	return typed, stream.CloseSend()
}

// Converse opens a stream in both directions.
func Converse[Req, Resp any](ctx context.Context, cc grpc.ClientConnInterface, method string) (grpc.BidiStreamingClient[Req, Resp], error) {
	stream, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return nil, err
	}
	return &grpc.GenericClientStream[Req, Resp]{ClientStream: stream}, nil
}
