//go:build !failpoint

package failpoint

import "google.golang.org/grpc"

// Here does nothing.
func Here(string) {}

// ServerOptions are none.
func ServerOptions() []grpc.ServerOption { return nil }
