//go:build failpoint

package failpoint

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"google.golang.org/grpc"
)

// Here ends the process if the point is armed.
func Here(point string) {
	dir := os.Getenv(Variable)
	if dir == "" || os.Remove(filepath.Join(dir, point)) != nil {
		return // not armed, or another process came first
	}
	if err := os.WriteFile(filepath.Join(dir, "hit."+point), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		panic(err)
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {} // until the signal has arrived
}

// ServerOptions make the points before and after every call.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.UnaryInterceptor(unary), grpc.StreamInterceptor(stream)}
}

func unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	call := path.Base(info.FullMethod)
	Here(call + ".before")
	resp, err := handle(ctx, req)
	Here(call + ".after")
	return resp, err
}

func stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	call := path.Base(info.FullMethod)
	Here(call + ".before")
	return handle(srv, &watched{ServerStream: ss, call: call})
}

// watched is a stream with points around its messages.
type watched struct {
	grpc.ServerStream
	call string
	sent atomic.Int64
}

func (w *watched) SendMsg(m any) error {
	if last, ok := m.(interface{ GetExited() bool }); !ok || last.GetExited() {
		Here(w.call + ".after")
	}
	err := w.ServerStream.SendMsg(m)
	if w.sent.Add(1) == 1 {
		Here(w.call + ".middle")
	}
	return err
}
