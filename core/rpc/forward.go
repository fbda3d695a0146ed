package rpc

import (
	"context"

	"google.golang.org/grpc/metadata"
)

// forwardedKey marks calls that one server passed on to another.
const forwardedKey = "drover-forwarded"

// Forward marks a call as passed on, so that servers that disagree about the leader do not pass it on for ever.
func Forward(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, forwardedKey, "1")
}

// Forwarded tells whether a call being served was passed on by another server.
func Forwarded(ctx context.Context) bool {
	return len(metadata.ValueFromIncomingContext(ctx, forwardedKey)) > 0
}
