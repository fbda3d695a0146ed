package host

import (
	"context"
	"errors"
	"io"
	"path"
	"sync"

	"google.golang.org/grpc"
)

// Call is a call to a plugin that is about to be made.
type Call struct {
	Method string // the contract's name: StartTask, Fingerprint, Check, ...
	Stream bool
}

// Gate is asked before every call. It may wait, and it may refuse with an error, which the call then returns. done is
// called once, when the call is over, with what it returned, a *CallError; nil for a stream that the plugin ended in good
// order. A caller that stops listening to a stream ends it with the error of its context.
type Gate func(ctx context.Context, call Call) (done func(error), err error)

// WithGate has a host count, bound or refuse calls.
func WithGate(g Gate) DialOption {
	return func(c *dialConfig) { c.gate = g }
}

func (g Gate) unary(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	method := path.Base(name)
	done, err := g(ctx, Call{Method: method})
	if err != nil {
		return err
	}
	err = invoke(ctx, name, req, reply, cc, opts...)
	done(callError(ctx, method, err))
	return err
}

// stream needs a context that its caller cancels in the end, as every caller in this package does.
func (g Gate) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, name string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	method := path.Base(name)
	done, err := g(ctx, Call{Method: method, Stream: true})
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, desc, cc, name, opts...)
	if err != nil {
		done(callError(ctx, method, err))
		return nil, err
	}
	var once sync.Once
	end := func(err error) { once.Do(func() { done(callError(ctx, method, err)) }) }
	context.AfterFunc(ctx, func() { end(ctx.Err()) })
	return &gatedStream{s, end}, nil
}

// gatedStream notices the end of a stream.
type gatedStream struct {
	grpc.ClientStream
	end func(error)
}

func (s *gatedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	switch {
	case errors.Is(err, io.EOF):
		s.end(nil)
	case err != nil:
		s.end(err)
	}
	return err
}
